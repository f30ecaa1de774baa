/*
 * A drive with a cache that forgets: `volatile BACKING SEED -f -s MOUNTPOINT` shows one file, `disk`, as long as BACKING.
 *
 * What is written stays in memory until fsync, which writes it to BACKING. SIGUSR1 is a power cut: of each sector of 512
 * bytes that was not flushed, one half at random is lost, the other is kept, and every call fails until SIGUSR2. A drive
 * also writes when it likes: a sector that is overwritten in the cache reaches BACKING one time in eight.
 */
#define FUSE_USE_VERSION 31
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512 };

static int backing;
static off_t size;
static char **cache;
static size_t *dirty, dirty_count;
static uint64_t state;
static volatile sig_atomic_t cuts, off;
static int cuts_done;

static uint32_t next_random(void) {
  state += 0x9e3779b97f4a7c15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static void on_cut(int signal) {
  (void)signal;
  cuts++;
  off = 1;
}

static void on_power(int signal) {
  (void)signal;
  off = 0;
}

static int store(size_t sector) {
  return pwrite(backing, cache[sector], SECTOR, (off_t)sector * SECTOR) == SECTOR ? 0 : -EIO;
}

static int empty_cache(int keep_all) {
  int result = 0;
  for (size_t i = 0; i < dirty_count; i++) {
    if (keep_all || next_random() % 2)
      if (store(dirty[i])) result = -EIO;
    free(cache[dirty[i]]);
    cache[dirty[i]] = NULL;
  }
  dirty_count = 0;
  return result;
}

/* What a cut did is done at the next call at the latest, before anything else is. */
static int without_power(void) {
  if (cuts_done < cuts) {
    cuts_done = cuts;
    empty_cache(0);
  }
  return off;
}

static int do_getattr(const char *path, struct stat *st, struct fuse_file_info *info) {
  (void)info;
  memset(st, 0, sizeof *st);
  if (!strcmp(path, "/")) {
    st->st_mode = S_IFDIR | 0755;
    st->st_nlink = 2;
    return 0;
  }
  if (strcmp(path, "/disk")) return -ENOENT;
  st->st_mode = S_IFREG | 0600;
  st->st_nlink = 1;
  st->st_size = size;
  return 0;
}

static int do_readdir(const char *path, void *buffer, fuse_fill_dir_t fill, off_t offset, struct fuse_file_info *info,
                      enum fuse_readdir_flags flags) {
  (void)path, (void)offset, (void)info, (void)flags;
  fill(buffer, "disk", NULL, 0, 0);
  return 0;
}

static int do_open(const char *path, struct fuse_file_info *info) {
  if (strcmp(path, "/disk")) return -ENOENT;
  /* The system must keep nothing of it in its own cache. */
  info->direct_io = 1;
  return 0;
}

static int do_read(const char *path, char *to, size_t length, off_t at, struct fuse_file_info *info) {
  (void)path, (void)info;
  if (without_power()) return -EIO;
  if (at >= size) return 0;
  if (at + (off_t)length > size) length = (size_t)(size - at);
  if (pread(backing, to, length, at) != (ssize_t)length) return -EIO;
  for (off_t sector = at / SECTOR; sector * SECTOR < at + (off_t)length; sector++) {
    if (!cache[sector]) continue;
    off_t begin = sector * SECTOR < at ? at : sector * SECTOR;
    off_t end = (sector + 1) * SECTOR > at + (off_t)length ? at + (off_t)length : (sector + 1) * SECTOR;
    memcpy(to + (begin - at), cache[sector] + (begin - sector * SECTOR), (size_t)(end - begin));
  }
  return (int)length;
}

static int do_write(const char *path, const char *from, size_t length, off_t at, struct fuse_file_info *info) {
  (void)path, (void)info;
  if (without_power()) return -EIO;
  if (at + (off_t)length > size) return -ENOSPC;
  for (off_t sector = at / SECTOR; sector * SECTOR < at + (off_t)length; sector++) {
    off_t begin = sector * SECTOR < at ? at : sector * SECTOR;
    off_t end = (sector + 1) * SECTOR > at + (off_t)length ? at + (off_t)length : (sector + 1) * SECTOR;
    if (!cache[sector]) {
      cache[sector] = malloc(SECTOR);
      if (!cache[sector]) return -EIO;
      if (end - begin < SECTOR && pread(backing, cache[sector], SECTOR, sector * SECTOR) != SECTOR) return -EIO;
      dirty[dirty_count++] = (size_t)sector;
    } else if (next_random() % 8 == 0) {
      store((size_t)sector);
    }
    memcpy(cache[sector] + (begin - sector * SECTOR), from + (begin - at), (size_t)(end - begin));
  }
  return (int)length;
}

static int do_fsync(const char *path, int data_only, struct fuse_file_info *info) {
  (void)path, (void)data_only, (void)info;
  if (without_power()) return -EIO;
  return empty_cache(1);
}

static const struct fuse_operations operations = {
    .getattr = do_getattr,
    .readdir = do_readdir,
    .open = do_open,
    .read = do_read,
    .write = do_write,
    .fsync = do_fsync,
};

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "usage: volatile BACKING SEED -f -s MOUNTPOINT\n");
    return 2;
  }
  struct stat st;
  backing = open(argv[1], O_RDWR | O_CLOEXEC);
  if (backing < 0 || fstat(backing, &st)) {
    perror(argv[1]);
    return 1;
  }
  size = st.st_size;
  state = strtoull(argv[2], NULL, 10);
  size_t sectors = (size_t)(size / SECTOR) + 1;
  cache = calloc(sectors, sizeof *cache);
  dirty = calloc(sectors, sizeof *dirty);
  if (!cache || !dirty) return 1;
  struct sigaction action = {.sa_handler = on_cut, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  action.sa_handler = on_power;
  sigaction(SIGUSR2, &action, NULL);
  argv[2] = argv[0];
  return fuse_main(argc - 2, argv + 2, &operations, NULL);
}
