/** The possible names of the system's C library: GNU's, musl's, macOS's. */
export const libcNames: readonly string[] =
  process.platform === 'darwin'
    ? ['/usr/lib/libSystem.B.dylib']
    : ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'];
