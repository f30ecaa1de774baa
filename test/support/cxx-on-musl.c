/*
 * Lets the C++ library of a glibc system run on musl: a test needs one, and Debian has none built for musl. These are the
 * functions of glibc that libstdc++ and libgcc_s ask for and musl lacks. Stands in for ld-linux-x86-64.so.2 there.
 */
#define _GNU_SOURCE
#include <link.h>
#include <locale.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/random.h>
#include <time.h>

char __libc_single_threaded = 0;

/* libgcc_s has both itself, under versions that musl does not read. */
unsigned int __cpu_model[4];
int __cpu_indicator_init(void) { return 0; }

uint32_t arc4random(void) {
  uint32_t value = 0;
  (void)!getrandom(&value, sizeof value, 0);
  return value;
}

size_t __strftime_l(char *text, size_t size, const char *format, const struct tm *time, locale_t locale) {
  return strftime_l(text, size, format, time, locale);
}

int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *library) {
  (void)destroy, (void)object, (void)library;
  return 0;
}

struct search {
  char *address;
  struct dl_find_object *found;
};

static int look_into(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  struct search *search = data;
  char *start = (char *)UINTPTR_MAX, *end = NULL, *frames = NULL;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    char *begin = (char *)info->dlpi_addr + part->p_vaddr;
    if (part->p_type == PT_GNU_EH_FRAME) frames = begin;
    if (part->p_type != PT_LOAD) continue;
    if (begin < start) start = begin;
    if (begin + part->p_memsz > end) end = begin + part->p_memsz;
  }
  if (frames == NULL || search->address < start || search->address >= end) return 0;
  search->found->dlfo_flags = 0;
  search->found->dlfo_map_start = start;
  search->found->dlfo_map_end = end;
  search->found->dlfo_link_map = NULL;
  search->found->dlfo_eh_frame = frames;
  return 1;
}

/* How an exception finds the frames that it passes. */
int _dl_find_object(void *address, struct dl_find_object *found) {
  struct search search = {address, found};
  return dl_iterate_phdr(look_into, &search) == 1 ? 0 : -1;
}
