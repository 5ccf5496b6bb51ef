#include "vmm/network.h"

#include <algorithm>

#include "net/user/name_server.h"

namespace vireo::vmm {
namespace {

/// The names of those that the machine begins with; their number follows.
constexpr const char* kMachineNic = "net";

/// Locally administered, in the range that virtual machines use, and the same each time. Two machines of one name on
/// one wire need mac=.
std::array<u8, 6> default_mac(const std::string& machine, const std::string& which) {
  u32 hash = 2166136261;  // FNV-1a
  const auto mix = [&hash](u8 byte) { hash = (hash ^ byte) * 16777619; };
  for (const char c : machine) mix(static_cast<u8>(c));
  for (const char c : which) mix(static_cast<u8>(c));
  return {0x52, 0x54, 0x00, static_cast<u8>(hash >> 16), static_cast<u8>(hash >> 8), static_cast<u8>(hash)};
}

/// `user` is it if it is of that kind.
Result<std::unique_ptr<net::Backend>> open_backend(const NetConfig& nic, net::NetThread& thread, net::User*& user) {
  switch (nic.kind) {
    case NetKind::User: {
      auto options = nic.user;
      if (nic.mtu) options.mtu = *nic.mtu;
      TRY_ASSIGN(auto made, net::User::create(thread, options));
      user = made.get();
      return made;
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
  network.machine_ = machine;
  if (nics.empty()) return network;
  TRY_ASSIGN(network.thread_, net::NetThread::create());
  std::size_t plugged = 0;
  for (std::size_t i = 0; i < nics.size(); ++i) {
    auto made = std::make_shared<NetBackend>();
    auto backend = open_backend(nics[i], *network.thread_, made->user);
    if (!backend) return fail(backend.error().kind, "--net: {}", backend.error().message);
    network.user_ |= nics[i].kind == NetKind::User;
    network.tap_ |= nics[i].kind == NetKind::Tap;
    network.listens_ |= nics[i].kind == NetKind::Socket && nics[i].socket.wire == net::Wire::Listen;
    made->link = std::make_unique<net::Link>(*network.thread_, std::move(*backend));
    made->mtu = nics[i].mtu;
    made->id = nics[i].id;
    std::string which = made->id;
    if (which.empty()) {
      made->device = made->id = kMachineNic + std::to_string(plugged);
      which = std::string(1, static_cast<char>(plugged++));
    }
    made->mac = nics[i].mac.value_or(default_mac(machine, which));
    if (network.find(made->id)) return fail(ErrorKind::Usage, "--net: there are two of the name {}", made->id);
    network.backends_.push_back(std::move(made));
  }
  return network;
}

Network::~Network() {
  if (thread_) thread_->stop();
}

std::vector<machine::PcNic> Network::nics() const {
  std::vector<machine::PcNic> nics;
  for (const auto& backend : backends_) {
    if (!backend->device.empty()) nics.push_back({backend->link.get(), backend->mac, backend->mtu});
  }
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

std::shared_ptr<NetBackend> Network::find(const std::string& id) const {
  const auto found = std::ranges::find(backends_, id, &NetBackend::id);
  return found == backends_.end() ? nullptr : *found;
}

Result<> Network::add(const std::string& id, const net::UserOptions& options) {
  if (find(id)) return fail(ErrorKind::WrongState, "Duplicate ID '{}'", id);
  if (backends_.size() >= kMaxBackends)
    return fail(ErrorKind::WrongState, "there are {} netdevs already", kMaxBackends);
  if (!user_) {
    return fail(ErrorKind::Denied,
                "the sandbox of a machine that began without a user network has no room for one; begin with "
                "--net user,id=NAME");
  }
  auto made = std::make_shared<NetBackend>();
  made->id = id;
  made->mac = default_mac(machine_, id);
  TRY_ASSIGN(auto user, net::User::create(*thread_, options));
  made->user = user.get();
  made->link = std::make_unique<net::Link>(*thread_, std::move(user));
  backends_.push_back(std::move(made));
  return {};
}

Result<> Network::remove(const std::string& id) {
  const auto backend = find(id);
  if (!backend) return fail(ErrorKind::NotFound, "Device '{}' not found", id);
  if (!backend->device.empty()) {
    return fail(ErrorKind::WrongState, "netdev '{}' is in use by the device '{}'", id, backend->device);
  }
  backends_.remove(backend);
  return {};
}

Result<NetLease> Network::take(const std::string& id, const std::string& device) {
  auto backend = find(id);
  if (!backend) return fail(ErrorKind::NotFound, "Property 'virtio-net-pci.netdev' can't find value '{}'", id);
  if (!backend->device.empty()) {
    return fail(ErrorKind::WrongState, "Property 'virtio-net-pci.netdev' can't take value '{}', it's in use", id);
  }
  backend->device = device;
  return NetLease(backend.get(), [kept = backend](NetBackend*) { kept->device.clear(); });
}

Result<> Network::set_link(const std::string& name, bool up) {
  for (const auto& backend : backends_) {
    if (backend->id != name && backend->device != name) continue;
    backend->link->set(up);
    return {};
  }
  return fail(ErrorKind::NotFound, "Device '{}' not found", name);
}

Result<net::User*> Network::find_user(const std::string& id) const {
  const auto backend = find(id);
  if (!backend) return fail(ErrorKind::NotFound, "Device '{}' not found", id);
  if (backend->user == nullptr) return fail(ErrorKind::Usage, "'{}' is not a user network", id);
  return backend->user;
}

}  // namespace vireo::vmm
