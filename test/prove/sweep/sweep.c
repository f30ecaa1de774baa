/*
 * Runs a command and makes one of its system calls on a folder fail.
 *
 *   sweep -d FOLDER -o REPORT [-e FAULT] [-n N] [-c CALL] [-s] [-w] [-l] -- COMMAND [ARGUMENT...]
 *
 *   -e FAULT   EIO, EACCES, EMFILE or ENOSPC; `short` (half of a write is done); `kill` (SIGKILL at the call).
 *              `skip` (fdatasync does nothing and reports success, as a build without it would).
 *              Each counts only the calls that can fail so; without it nothing fails and all calls are counted.
 *   -n N       the call that fails, counted from 1 over all threads and children of the command
 *   -c CALL    counts only calls of this name
 *   -s         every call from N on fails
 *   -w         counts nothing until SIGUSR1
 *   -l         the report lists every call that was counted
 *
 * The kernel stops each call and asks this process (seccomp user notification); a call that is not to fail goes on in the
 * kernel as it was made. The report is lines of text: `count N`, `hit CALL PATH`, `call CALL PATH`. SIGTERM and SIGINT are
 * passed on. The exit code is the command's, 128 + N after signal N, or 125 when this program itself cannot work.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* How a call names its file, and what it does to it. */
enum { FD = 1, PATH = 2, AT = 4, AT2 = 8, SOCK = 16, OPEN = 32, CHANGES = 64, WRITES = 128, SECOND = 256 };

static const struct call {
  int nr;
  const char *name;
  int how;
} calls[] = {
    {SYS_open, "open", PATH | OPEN},
    {SYS_openat, "openat", AT | OPEN},
    {SYS_openat2, "openat2", AT | OPEN},
    {SYS_creat, "creat", PATH | OPEN | CHANGES},
    {SYS_read, "read", FD},
    {SYS_pread64, "pread64", FD},
    {SYS_readv, "readv", FD},
    {SYS_preadv, "preadv", FD},
    {SYS_preadv2, "preadv2", FD},
    {SYS_write, "write", FD | CHANGES | WRITES},
    {SYS_pwrite64, "pwrite64", FD | CHANGES | WRITES},
    {SYS_writev, "writev", FD | CHANGES | WRITES},
    {SYS_pwritev, "pwritev", FD | CHANGES | WRITES},
    {SYS_pwritev2, "pwritev2", FD | CHANGES | WRITES},
    {SYS_copy_file_range, "copy_file_range", FD | CHANGES},
    {SYS_sendfile, "sendfile", FD | CHANGES},
    {SYS_fsync, "fsync", FD | CHANGES},
    {SYS_fdatasync, "fdatasync", FD | CHANGES},
    {SYS_sync_file_range, "sync_file_range", FD | CHANGES},
    {SYS_ftruncate, "ftruncate", FD | CHANGES},
    {SYS_truncate, "truncate", PATH | CHANGES},
    {SYS_fallocate, "fallocate", FD | CHANGES},
    {SYS_rename, "rename", PATH | CHANGES},
    {SYS_renameat, "renameat", AT | CHANGES},
    {SYS_renameat2, "renameat2", AT | CHANGES},
    {SYS_unlink, "unlink", PATH | CHANGES},
    {SYS_unlinkat, "unlinkat", AT | CHANGES},
    {SYS_rmdir, "rmdir", PATH | CHANGES},
    {SYS_mkdir, "mkdir", PATH | CHANGES},
    {SYS_mkdirat, "mkdirat", AT | CHANGES},
    {SYS_symlink, "symlink", PATH | SECOND | CHANGES},
    {SYS_symlinkat, "symlinkat", AT2 | CHANGES},
    {SYS_link, "link", PATH | CHANGES},
    {SYS_linkat, "linkat", AT | CHANGES},
    {SYS_readlink, "readlink", PATH},
    {SYS_readlinkat, "readlinkat", AT},
    {SYS_stat, "stat", PATH},
    {SYS_lstat, "lstat", PATH},
    {SYS_fstat, "fstat", FD},
    {SYS_newfstatat, "newfstatat", AT},
    {SYS_statx, "statx", AT},
    {SYS_statfs, "statfs", PATH},
    {SYS_fstatfs, "fstatfs", FD},
    {SYS_access, "access", PATH},
    {SYS_faccessat, "faccessat", AT},
    {SYS_faccessat2, "faccessat2", AT},
    {SYS_getdents64, "getdents64", FD},
    {SYS_chmod, "chmod", PATH | CHANGES},
    {SYS_fchmod, "fchmod", FD | CHANGES},
    {SYS_fchmodat, "fchmodat", AT | CHANGES},
    {SYS_chown, "chown", PATH | CHANGES},
    {SYS_lchown, "lchown", PATH | CHANGES},
    {SYS_fchown, "fchown", FD | CHANGES},
    {SYS_fchownat, "fchownat", AT | CHANGES},
    {SYS_utimensat, "utimensat", AT | CHANGES},
    {SYS_flock, "flock", FD},
    {SYS_bind, "bind", SOCK | CHANGES},
    {SYS_connect, "connect", SOCK},
    {SYS_close, "close", FD},
};
#define CALLS (sizeof calls / sizeof *calls)

static volatile sig_atomic_t armed = 1;
static pid_t child;

static void die(const char *what) {
  perror(what);
  if (child > 0) kill(child, SIGKILL);
  exit(125);
}

static void on_arm(int signal) {
  (void)signal;
  armed = 1;
}

static void pass_on(int signal) {
  if (child > 0) kill(child, signal);
}

static int install(void) {
  struct sock_filter filter[CALLS + 3];
  size_t n = 0;
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < CALLS; i++)
    filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i].nr,
                                               (unsigned char)(CALLS - i), 0);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
  struct sock_fprog program = {.len = (unsigned short)n, .filter = filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("no_new_privs");
  /* Killable: else each signal of a garbage collector would make the same call be counted again. */
  return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                      SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
}

static void send_fd(int socket, int fd) {
  char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
  struct iovec io = {&byte, 1};
  struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(head), &fd, sizeof fd);
  if (sendmsg(socket, &message, 0) < 0) die("sendmsg");
}

static int receive_fd(int socket) {
  char byte, control[CMSG_SPACE(sizeof(int))];
  struct iovec io = {&byte, 1};
  struct msghdr message = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(socket, &message, 0) <= 0) die("recvmsg");
  int fd;
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (!head) die("no listener came");
  memcpy(&fd, CMSG_DATA(head), sizeof fd);
  return fd;
}

static ssize_t peek(pid_t pid, unsigned long long at, void *to, size_t length) {
  struct iovec local = {to, length}, remote = {(void *)at, length};
  return process_vm_readv(pid, &local, 1, &remote, 1, 0);
}

/* A text of the other process; read page by page, as the page after it may not exist. */
static int peek_text(pid_t pid, unsigned long long at, char *to, size_t size) {
  size_t have = 0;
  while (have < size - 1) {
    size_t step = 4096 - (at + have) % 4096;
    if (step > size - 1 - have) step = size - 1 - have;
    ssize_t got = peek(pid, at + have, to + have, step);
    if (got <= 0) return -1;
    if (memchr(to + have, 0, (size_t)got)) return 0;
    have += (size_t)got;
  }
  return -1;
}

static int link_of(pid_t pid, const char *what, char *to, size_t size) {
  char link[64];
  snprintf(link, sizeof link, "/proc/%d/%s", pid, what);
  ssize_t length = readlink(link, to, size - 1);
  if (length < 0) return -1;
  to[length] = 0;
  return 0;
}

static int path_of_fd(pid_t pid, int fd, char *to, size_t size) {
  char what[32];
  if (fd == AT_FDCWD) return link_of(pid, "cwd", to, size);
  snprintf(what, sizeof what, "fd/%d", fd);
  return link_of(pid, what, to, size);
}

static int join(pid_t pid, int fd, unsigned long long text, char *to, size_t size) {
  char name[PATH_MAX];
  if (peek_text(pid, text, name, sizeof name)) return -1;
  if (name[0] == '/') {
    /* Bun names a socket through its folder's descriptor where the path is long. */
    int number, used = 0;
    if (sscanf(name, "/proc/self/fd/%d%n", &number, &used) == 1 && used > 0) {
      if (path_of_fd(pid, number, to, size)) return -1;
      strncat(to, name + used, size - strlen(to) - 1);
      return 0;
    }
    return snprintf(to, size, "%s", name) < 0 ? -1 : 0;
  }
  if (path_of_fd(pid, fd, to, size)) return -1;
  if (name[0]) {
    strncat(to, "/", size - strlen(to) - 1);
    strncat(to, name, size - strlen(to) - 1);
  }
  return 0;
}

static int path_of(const struct seccomp_notif *request, const struct call *call, char *to, size_t size) {
  const unsigned long long *args = (const unsigned long long *)request->data.args;
  pid_t pid = (pid_t)request->pid;
  if (call->how & FD) return path_of_fd(pid, (int)args[0], to, size);
  if (call->how & AT2) return join(pid, (int)args[1], args[2], to, size);
  if (call->how & AT) return args[1] ? join(pid, (int)args[0], args[1], to, size) : path_of_fd(pid, (int)args[0], to, size);
  if (call->how & SECOND) return join(pid, AT_FDCWD, args[1], to, size);
  if (call->how & PATH) return join(pid, AT_FDCWD, args[0], to, size);
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  size_t length = args[2] < sizeof address ? args[2] : sizeof address;
  if (peek(pid, args[1], &address, length) < 0 || address.sun_family != AF_UNIX || !address.sun_path[0]) return -1;
  return join(pid, AT_FDCWD, args[1] + offsetof(struct sockaddr_un, sun_path), to, size);
}

static int opens_to_change(const struct seccomp_notif *request, const struct call *call) {
  unsigned long long flags = 0;
  if (call->nr == SYS_open) flags = request->data.args[1];
  if (call->nr == SYS_openat) flags = request->data.args[2];
  return (flags & (O_CREAT | O_TRUNC)) != 0;
}

/* Whether a call can fail so. */
static int suits(const char *fault, const struct seccomp_notif *request, const struct call *call) {
  int changes = (call->how & CHANGES) || opens_to_change(request, call);
  if (!fault || !strcmp(fault, "EIO")) return 1;
  if (!strcmp(fault, "EACCES")) return !(call->how & FD);
  if (!strcmp(fault, "EMFILE")) return (call->how & OPEN) != 0;
  if (!strcmp(fault, "ENOSPC")) return changes && !strstr(call->name, "unlink");
  if (!strcmp(fault, "kill")) return changes;
  if (!strcmp(fault, "skip")) return call->nr == SYS_fdatasync;
  if (!strcmp(fault, "short")) {
    if (call->nr != SYS_write && call->nr != SYS_pwrite64) return call->nr == SYS_writev;
    return request->data.args[2] > 1;
  }
  return 0;
}

static pid_t group_of(pid_t thread) {
  char file[64], line[256];
  pid_t group = thread;
  snprintf(file, sizeof file, "/proc/%d/status", thread);
  FILE *status = fopen(file, "r");
  while (status && fgets(line, sizeof line, status))
    if (sscanf(line, "Tgid: %d", &group) == 1) break;
  if (status) fclose(status);
  return group;
}

/* Does half of a write in the other's place, and returns its result. */
static long long half(const struct seccomp_notif *request, const struct call *call) {
  const unsigned long long *args = (const unsigned long long *)request->data.args;
  pid_t pid = (pid_t)request->pid;
  unsigned long long at = args[1], length = args[2];
  if (call->nr == SYS_writev) {
    struct iovec first;
    if (peek(pid, args[1], &first, sizeof first) != (ssize_t)sizeof first) return -EIO;
    at = (unsigned long long)first.iov_base;
    length = first.iov_len;
  }
  length = length > 1 ? length / 2 : length;
  char *bytes = malloc(length);
  int process = (int)syscall(SYS_pidfd_open, group_of(pid), 0);
  int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, (int)args[0], 0);
  long long result = -EIO;
  if (bytes && fd >= 0 && peek(pid, at, bytes, length) == (ssize_t)length) {
    ssize_t done = call->nr == SYS_pwrite64 ? pwrite(fd, bytes, length, (off_t)args[3]) : write(fd, bytes, length);
    result = done < 0 ? -errno : done;
  }
  if (fd >= 0) close(fd);
  if (process >= 0) close(process);
  free(bytes);
  return result;
}

static int number_of(const char *fault) {
  if (!strcmp(fault, "EACCES")) return EACCES;
  if (!strcmp(fault, "EMFILE")) return EMFILE;
  if (!strcmp(fault, "ENOSPC")) return ENOSPC;
  return EIO;
}

int main(int argc, char **argv) {
  const char *folder = NULL, *fault = NULL, *report_file = NULL, *only = NULL;
  long nth = 0, count = 0;
  int sticky = 0, list = 0, option;
  while ((option = getopt(argc, argv, "+d:e:n:o:c:swl")) != -1) {
    if (option == 'd') folder = optarg;
    else if (option == 'e') fault = optarg;
    else if (option == 'n') nth = atol(optarg);
    else if (option == 'o') report_file = optarg;
    else if (option == 'c') only = optarg;
    else if (option == 's') sticky = 1;
    else if (option == 'w') armed = 0;
    else if (option == 'l') list = 1;
    else return 125;
  }
  if (!folder || !report_file || optind >= argc) {
    fprintf(stderr, "sweep: -d FOLDER, -o REPORT and a command are needed\n");
    return 125;
  }
  size_t folder_length = strlen(folder);
  FILE *report = fopen(report_file, "w");
  if (!report) die(report_file);
  fcntl(fileno(report), F_SETFD, FD_CLOEXEC);

  struct sigaction action = {.sa_handler = on_arm};
  sigaction(SIGUSR1, &action, NULL);
  action.sa_handler = pass_on;
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);

  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) die("socketpair");
  child = fork();
  if (child < 0) die("fork");
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGUSR1, SIG_DFL);
    int listener = install();
    if (listener < 0) die("seccomp");
    send_fd(pair[1], listener);
    execvp(argv[optind], argv + optind);
    die(argv[optind]);
  }
  /* Not before: the child's end of the pair must be the only one, or its early death would not be noticed. */
  close(pair[1]);
  int listener = receive_fd(pair[0]);

  struct seccomp_notif_sizes sizes;
  if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes)) die("sizes");
  struct seccomp_notif *request = malloc(sizes.seccomp_notif);
  struct seccomp_notif_resp *answer = malloc(sizes.seccomp_notif_resp);
  if (!request || !answer) die("malloc");
  for (;;) {
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    if (poll(&waiting, 1, -1) < 0) {
      if (errno == EINTR) continue;
      die("poll");
    }
    if (!(waiting.revents & POLLIN)) break;
    memset(request, 0, sizes.seccomp_notif);
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, request)) continue;
    const struct call *call = NULL;
    for (size_t i = 0; i < CALLS && !call; i++)
      if (calls[i].nr == request->data.nr) call = &calls[i];
    memset(answer, 0, sizes.seccomp_notif_resp);
    answer->id = request->id;
    answer->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
    char path[2 * PATH_MAX];
    if (armed && call && (!only || !strcmp(only, call->name)) && !path_of(request, call, path, sizeof path) && !strncmp(path, folder, folder_length) &&
        (!path[folder_length] || path[folder_length] == '/') && suits(fault, request, call)) {
      count++;
      if (list) fprintf(report, "call %s %s\n", call->name, path);
      if (fault && nth && (count == nth || (sticky && count > nth))) {
        if (count == nth) fprintf(report, "hit %s %s\n", call->name, path);
        if (!strcmp(fault, "kill")) {
          kill(child, SIGKILL);
        } else {
          answer->flags = 0;
          long long result = 0;
          if (!strcmp(fault, "short")) result = half(request, call);
          else if (strcmp(fault, "skip")) result = -number_of(fault);
          if (result < 0) answer->error = (int)result;
          else answer->val = result;
        }
      }
    }
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, answer);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  fprintf(report, "count %ld\n", count);
  fclose(report);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
