/** The system's C library by the names that it has: that of GNU, those of musl, that of macOS. */
export const libcNames: readonly string[] =
  process.platform === 'darwin'
    ? ['/usr/lib/libSystem.B.dylib']
    : ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'];
