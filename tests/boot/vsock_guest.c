// The guest's end of the vsock test, static: what socat would be.
//
//   vsock connect CID PORT       standard input goes to the socket, then its end; the socket to standard output
//   vsock serve PORT COMMAND     each connection has a shell of its own with the command, as input and output
#include <errno.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(const char* what) {
  fprintf(stderr, "vsock: %s: %s\n", what, strerror(errno));
  return 1;
}

static int open_socket(struct sockaddr_vm* address, unsigned cid, unsigned port) {
  memset(address, 0, sizeof *address);
  address->svm_family = AF_VSOCK;
  address->svm_cid = cid;
  address->svm_port = port;
  return socket(AF_VSOCK, SOCK_STREAM, 0);
}

static int write_all(int to, const char* bytes, ssize_t count) {
  while (count > 0) {
    const ssize_t written = write(to, bytes, (size_t)count);
    if (written < 0) return -1;
    bytes += written;
    count -= written;
  }
  return 0;
}

static int pump(int peer) {
  static char bytes[65536];
  struct pollfd ready[2] = {{peer, POLLIN, 0}, {0, POLLIN, 0}};
  while (1) {
    if (poll(ready, 2, -1) < 0) return fail("poll");
    if (ready[0].revents != 0) {
      const ssize_t count = read(peer, bytes, sizeof bytes);
      if (count < 0) return fail("read");
      if (count == 0) return 0;
      if (write_all(1, bytes, count) != 0) return fail("standard output");
    }
    if (ready[1].revents != 0) {
      const ssize_t count = read(0, bytes, sizeof bytes);
      if (count < 0) return fail("standard input");
      if (count == 0) {
        ready[1].fd = -1;
        if (shutdown(peer, SHUT_WR) != 0) return fail("shutdown");
      } else if (write_all(peer, bytes, count) != 0) {
        return fail("write");
      }
    }
  }
}

static int serve(unsigned port, const char* command) {
  struct sockaddr_vm address;
  const int listener = open_socket(&address, VMADDR_CID_ANY, port);
  if (listener < 0 || bind(listener, (struct sockaddr*)&address, sizeof address) != 0 || listen(listener, 64) != 0) {
    return fail("listen");
  }
  signal(SIGCHLD, SIG_IGN);
  while (1) {
    const int peer = accept(listener, NULL, NULL);
    if (peer < 0) return fail("accept");
    if (fork() == 0) {
      dup2(peer, 0);
      dup2(peer, 1);
      close(peer);
      close(listener);
      signal(SIGCHLD, SIG_DFL);
      execl("/bin/sh", "sh", "-c", command, NULL);
      _exit(127);
    }
    close(peer);
  }
}

int main(int count, char** arguments) {
  signal(SIGPIPE, SIG_IGN);
  if (count == 4 && strcmp(arguments[1], "connect") == 0) {
    struct sockaddr_vm address;
    const int peer = open_socket(&address, (unsigned)atoi(arguments[2]), (unsigned)atoi(arguments[3]));
    if (peer < 0 || connect(peer, (struct sockaddr*)&address, sizeof address) != 0) return fail("connect");
    return pump(peer);
  }
  if (count == 4 && strcmp(arguments[1], "serve") == 0) return serve((unsigned)atoi(arguments[2]), arguments[3]);
  fprintf(stderr, "usage: vsock connect CID PORT | vsock serve PORT COMMAND\n");
  return 2;
}
