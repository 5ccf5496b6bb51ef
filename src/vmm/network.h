// The machine's network interfaces on the host's side: back ends, and the thread they share.
#pragma once

#include <memory>
#include <vector>

#include "host/fd.h"
#include "host/sandbox.h"
#include "machine/pc/pc.h"
#include "net/thread/thread.h"
#include "vmm/config.h"

namespace vireo::vmm {

class Network {
 public:
  /// `machine` is the machine's name. Errors say which interface, if there are several; kinds as in net/.
  static Result<Network> open(const std::vector<NetConfig>& nics, const std::string& machine);
  Network() = default;
  Network(Network&&) noexcept = default;
  Network& operator=(Network&&) = delete;
  /// The machine is gone.
  ~Network();

  /// For the machine, which it outlives.
  std::vector<machine::PcNic> nics() const;
  /// Once other threads may run.
  void start();
  /// Notes what the back ends will need, device requests in `requests`, and does what has to be done before. What is
  /// returned stays open until the sandbox is entered.
  std::vector<host::Fd> prepare_sandbox(host::SandboxNeeds& needs, std::vector<unsigned long>& requests) const;

 private:
  struct Nic {
    std::unique_ptr<net::Backend> backend;
    std::array<u8, 6> mac;
    std::optional<u16> mtu;
  };
  std::unique_ptr<net::NetThread> thread_;
  std::vector<Nic> nics_;
  bool user_ = false, tap_ = false, listens_ = false;  ///< some are, or do
};

}  // namespace vireo::vmm
