// The machine's network interfaces on the host's side: back ends, and the thread they share.
//
// A back end is a NIC's of the machine from the beginning, or is there under its name for one that is added at run time
// (vmm/card_kinds). Those of user mode may be added while the machine runs, if it began with one of the kind: the
// sandbox has to let them.
//
// Threads: the event loop's.
#pragma once

#include <list>
#include <memory>
#include <string>
#include <vector>

#include "host/fd.h"
#include "host/sandbox.h"
#include "machine/pc/pc.h"
#include "net/link/link.h"
#include "net/thread/thread.h"
#include "net/user/user.h"
#include "vmm/config.h"

namespace vireo::vmm {

/// A back end with its name.
struct NetBackend {
  std::string id;
  std::unique_ptr<net::Link> link;
  net::User* user = nullptr;  ///< if it is of that kind
  std::array<u8, 6> mac{};    ///< of a NIC that does not say
  std::optional<u16> mtu;
  std::string device;  ///< who has it; empty: nobody
};

/// A back end that a device has. It is free again when the last copy is gone.
using NetLease = std::shared_ptr<NetBackend>;

class Network {
 public:
  static constexpr std::size_t kMaxBackends = 32;

  /// `machine` is the machine's name. Errors say which interface, if there are several; kinds as in net/.
  static Result<Network> open(const std::vector<NetConfig>& nics, const std::string& machine);
  Network() = default;
  Network(Network&&) noexcept = default;
  Network& operator=(Network&&) = delete;
  /// The machine is gone.
  ~Network();

  /// For the machine, which it outlives: those without a name of their own.
  std::vector<machine::PcNic> nics() const;
  /// Once other threads may run.
  void start();
  /// Notes what the back ends will need, device requests in `requests`, and does what has to be done before. What is
  /// returned stays open until the sandbox is entered.
  std::vector<host::Fd> prepare_sandbox(host::SandboxNeeds& needs, std::vector<unsigned long>& requests) const;

  // At run time. Errors: NotFound, WrongState, those of net/user.
  Result<> add(const std::string& id, const net::UserOptions& options);
  Result<> remove(const std::string& id);
  Result<NetLease> take(const std::string& id, const std::string& device);
  /// `name` is that of a back end, or of the device that has it.
  Result<> set_link(const std::string& name, bool up);
  /// NotFound for a back end that is not there, Usage for one that is not of user mode.
  Result<net::User*> find_user(const std::string& id) const;

 private:
  std::shared_ptr<NetBackend> find(const std::string& id) const;

  std::string machine_;
  std::unique_ptr<net::NetThread> thread_;
  std::list<std::shared_ptr<NetBackend>> backends_;
  bool user_ = false, tap_ = false, listens_ = false;  ///< some are, or do
};

}  // namespace vireo::vmm
