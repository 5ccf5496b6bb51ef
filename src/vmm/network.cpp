#include "vmm/network.h"

#include "net/user/name_server.h"

namespace vireo::vmm {
namespace {

/// Locally administered, in the range that virtual machines use, and the same each time. Two machines of one name on
/// one wire need mac=.
std::array<u8, 6> default_mac(const std::string& machine, std::size_t number) {
  u32 hash = 2166136261;  // FNV-1a
  const auto mix = [&hash](u8 byte) { hash = (hash ^ byte) * 16777619; };
  for (const char c : machine) mix(static_cast<u8>(c));
  mix(static_cast<u8>(number));
  return {0x52, 0x54, 0x00, static_cast<u8>(hash >> 16), static_cast<u8>(hash >> 8), static_cast<u8>(hash)};
}

Result<std::unique_ptr<net::Backend>> open_backend(const NetConfig& nic, net::NetThread& thread) {
  switch (nic.kind) {
    case NetKind::User: {
      auto options = nic.user;
      if (nic.mtu) options.mtu = *nic.mtu;
      return net::User::create(thread, options);
    }
    case NetKind::Tap:
      return net::make_tap_backend(thread, nic.tap);
    case NetKind::Socket:
      return net::make_socket_backend(thread, nic.socket);
  }
  return nullptr;
}

}  // namespace

Result<Network> Network::open(const std::vector<NetConfig>& nics, const std::string& machine) {
  Network network;
  if (nics.empty()) return network;
  TRY_ASSIGN(network.thread_, net::NetThread::create());
  for (std::size_t i = 0; i < nics.size(); ++i) {
    auto backend = open_backend(nics[i], *network.thread_);
    if (!backend) return fail(backend.error().kind, "--net: {}", backend.error().message);
    network.user_ |= nics[i].kind == NetKind::User;
    network.tap_ |= nics[i].kind == NetKind::Tap;
    network.listens_ |= nics[i].kind == NetKind::Socket && nics[i].socket.wire == net::Wire::Listen;
    network.nics_.push_back({std::move(*backend), nics[i].mac.value_or(default_mac(machine, i)), nics[i].mtu});
  }
  return network;
}

Network::~Network() {
  if (thread_) thread_->stop();
}

std::vector<machine::PcNic> Network::nics() const {
  std::vector<machine::PcNic> nics;
  nics.reserve(nics_.size());
  for (const auto& nic : nics_) nics.push_back({nic.backend.get(), nic.mac, nic.mtu});
  return nics;
}

std::vector<host::Fd> Network::prepare_sandbox(host::SandboxNeeds& needs, std::vector<unsigned long>& requests) const {
  std::vector<host::Fd> files;
  needs.accepts = listens_;
  if (tap_) requests.push_back(net::kTapRequest);
  if (user_) {
    needs.internet = true;
    net::learn_name_server();
    files = net::open_name_server_files();
    for (const auto& file : files) needs.readable.push_back(file.get());
  }
  return files;
}

void Network::start() {
  if (thread_) thread_->start();
}

}  // namespace vireo::vmm
