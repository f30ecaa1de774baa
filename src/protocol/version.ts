/** The version of this bpbroker; a test holds it against package.json. */
export const VERSION = '1.0.0';
