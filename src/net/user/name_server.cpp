#include "net/user/name_server.h"

#include <fcntl.h>

#include <array>
#include <climits>
#include <cstdlib>
#include <string>

#include <libslirp.h>

#include "base/bytes.h"
#include "host/loop.h"
#include "net/offload/checksum.h"
#include "net/offload/packet.h"
#include "net/user/addresses.h"

namespace vireo::net {
namespace {

constexpr const char* kFile = "/etc/resolv.conf";

/// A datagram for the name server's port 0, which no system sends: the address is looked up, and that is all.
std::array<u8, 42> question(const Addresses& addresses) {
  std::array<u8, 42> frame{};
  put16(frame, 12, 0x0800);
  const auto ip = std::span(frame).subspan(kEthernetHeader);
  ip[0] = 0x45;
  put16(ip, 2, 28);
  ip[8] = 64;
  ip[9] = kProtocolUdp;
  store(ip.data() + 12, addresses.first_guest.s_addr);
  store(ip.data() + 16, addresses.name_server.s_addr);
  store(ip.data() + 10, static_cast<u16>(~internet_sum(ip.first(20))));
  put16(ip, 20, 1024);
  put16(ip, 24, 8);
  return frame;
}

}  // namespace

void learn_name_server() {
  const auto addresses = Addresses::of("10.0.2.0/24");
  // What it learns is the whole library's; this instance is only there to ask.
  static const SlirpCb nothing = {
      .send_packet = [](const void*, std::size_t size, void*) { return static_cast<ssize_t>(size); },
      .guest_error = [](const char*, void*) {},
      .clock_get_ns = [](void*) { return static_cast<int64_t>(host::Loop::now_ns()); },
      .timer_new = nullptr,
      .timer_free = [](void*, void*) {},
      .timer_mod = [](void*, int64_t, void*) {},
      .register_poll_fd = [](int, void*) {},
      .unregister_poll_fd = [](int, void*) {},
      .notify = [](void*) {},
      .init_completed = [](Slirp*, void*) {},
      .timer_new_opaque = [](SlirpTimerId, void*, void*) -> void* { return nullptr; },
  };
  SlirpConfig config{};
  config.version = 4;
  config.in_enabled = true;
  config.vnetwork = addresses->network;
  config.vnetmask = addresses->mask;
  config.vhost = addresses->host;
  config.vdhcp_start = addresses->first_guest;
  config.vnameserver = addresses->name_server;
  Slirp* slirp = ::slirp_new(&config, &nothing, nullptr);
  if (slirp == nullptr) return;
  ::slirp_pollfds_poll(slirp, 1, [](int, void*) { return 0; }, nullptr);  // what time it is
  const auto frame = question(*addresses);
  ::slirp_input(slirp, frame.data(), static_cast<int>(frame.size()));
  ::slirp_cleanup(slirp);
}

std::vector<host::Fd> open_name_server_files() {
  std::vector<host::Fd> files;
  char real[PATH_MAX];
  if (::realpath(kFile, real) == nullptr) return files;
  const auto open = [&](const char* path) {
    host::Fd fd(::open(path, O_PATH | O_CLOEXEC));
    if (fd) files.push_back(std::move(fd));
  };
  open(real);
  const std::string path(real);
  const auto folder = path.substr(0, path.rfind('/'));
  if (folder != "/etc" && !folder.empty()) open(folder.c_str());
  return files;
}

}  // namespace vireo::net
