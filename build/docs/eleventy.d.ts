/** The part of Eleventy's interface that the build of the documentation uses; it brings no types. */
declare module '@11ty/eleventy' {
  export interface UserConfig {
    setLibrary(extension: 'md', library: { render(text: string, env?: object): string }): void;
    addGlobalData(name: string, value: unknown): void;
    addPassthroughCopy(file: string): void;
    addTransform(
      name: string,
      transform: (this: { page: { inputPath: string; outputPath: string } }, html: string) => string,
    ): void;
  }

  interface Options {
    readonly quietMode?: boolean;
    readonly config?: (config: UserConfig) => object | void;
  }

  export class Eleventy {
    constructor(input: string, output: string, options?: Options);
    /** Reads the pages below the current folder, and writes the site. */
    write(): Promise<unknown>;
  }
}
