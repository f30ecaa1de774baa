/** The version of this bpbroker; a test compares it with package.json. */
export const VERSION = '1.0.0';
