// Network load between a guest and its host, one static program for both ends.
//
//   netload serve PORT                        answers below, one connection at a time, until it is killed
//   netload send HOST PORT SECONDS            bytes to the server as fast as they go
//   netload receive HOST PORT SECONDS         and from it
//   netload request HOST PORT SECONDS         one byte there and back, over and over
// The last three print one line: "NETLOAD send BYTES_PER_SECOND", "NETLOAD request PER_SECOND MEDIAN_US P99_US".
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kBlock = 128 * 1024;
char block[kBlock];

double now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

void no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void answer(int fd) {
  char mode = 0;
  if (::read(fd, &mode, 1) != 1) return;
  switch (mode) {
    case 's':  // counts what comes, and says so at its end
    {
      unsigned long long total = 0;
      ssize_t got = 0;
      while ((got = ::read(fd, block, kBlock)) > 0) total += static_cast<unsigned long long>(got);
      (void)!::write(fd, &total, sizeof total);
      break;
    }
    case 'r':
      while (::write(fd, block, kBlock) > 0) {
      }
      break;
    case 'e': {
      char byte = 0;
      while (::read(fd, &byte, 1) == 1 && ::write(fd, &byte, 1) == 1) {
      }
      break;
    }
  }
}

int serve(unsigned short port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(fd, 16) != 0) die("listen");
  for (;;) {
    const int connection = ::accept(fd, nullptr, nullptr);
    if (connection < 0) die("accept");
    no_delay(connection);
    answer(connection);
    ::close(connection);
  }
}

int connect_to(const char* host, unsigned short port, char mode) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (::inet_pton(AF_INET, host, &address.sin_addr) != 1) die(host);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("connect");
  no_delay(fd);
  if (::write(fd, &mode, 1) != 1) die("write");
  return fd;
}

int send_all(int fd, double seconds) {
  const double begin = now();
  while (now() - begin < seconds) {
    if (::write(fd, block, kBlock) <= 0) die("write");
  }
  ::shutdown(fd, SHUT_WR);
  unsigned long long total = 0;
  if (::recv(fd, &total, sizeof total, MSG_WAITALL) != sizeof total) die("read");
  std::printf("NETLOAD send %.0f\n", static_cast<double>(total) / (now() - begin));
  return 0;
}

int receive_all(int fd, double seconds) {
  const double begin = now();
  double total = 0;
  while (now() - begin < seconds) {
    const ssize_t got = ::read(fd, block, kBlock);
    if (got <= 0) die("read");
    total += static_cast<double>(got);
  }
  std::printf("NETLOAD receive %.0f\n", total / (now() - begin));
  return 0;
}

int request_all(int fd, double seconds) {
  std::vector<double> times;
  const double begin = now();
  double last = begin;
  char byte = 'x';
  while (last - begin < seconds) {
    if (::write(fd, &byte, 1) != 1 || ::read(fd, &byte, 1) != 1) die("request");
    const double time = now();
    times.push_back(time - last);
    last = time;
  }
  std::sort(times.begin(), times.end());
  std::printf("NETLOAD request %.0f %.1f %.1f\n", static_cast<double>(times.size()) / (last - begin),
              times[times.size() / 2] * 1e6, times[times.size() * 99 / 100] * 1e6);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  std::signal(SIGPIPE, SIG_IGN);
  const std::string_view mode = count > 1 ? words[1] : "";
  if (mode == "serve" && count == 3) return serve(static_cast<unsigned short>(std::atoi(words[2])));
  if (count == 5) {
    const auto port = static_cast<unsigned short>(std::atoi(words[3]));
    const double seconds = std::atof(words[4]);
    if (mode == "send") return send_all(connect_to(words[2], port, 's'), seconds);
    if (mode == "receive") return receive_all(connect_to(words[2], port, 'r'), seconds);
    if (mode == "request") return request_all(connect_to(words[2], port, 'e'), seconds);
  }
  std::fprintf(stderr, "usage: netload serve PORT | send|receive|request HOST PORT SECONDS\n");
  return 2;
}
