// The outsides of serial ports and of the virtio console's ports: opened after the machine is built, kept until its
// end.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "chardev/ring/ring.h"
#include "host/loop.h"
#include "host/socket.h"
#include "machine/pc/pc.h"
#include "vmm/config.h"
#include "vmm/late_channel.h"
#include "vmm/notice.h"

namespace vireo::vmm {

class Consoles {
 public:
  /// Usage when they are too many or want the same terminal.
  static Result<Consoles> create(const Config& config);

  /// For the machine, in the ports' order; they outlive it.
  std::vector<chardev::ByteChannel*> channels();
  std::vector<virtio::ConsolePort> virtio_ports();

  /// The terminal comes last, and is raw from then on. `left` is called when the person there leaves. Says where pseudo
  /// terminals are.
  Result<> open(host::Loop& loop, const std::function<void()>& left, const Notices& notice);
  void flush();

  /// One port as a program sees it.
  struct Port {
    std::string name;                              ///< "serial0", "virtconsole0"
    std::string place;                             ///< "pty:/dev/pts/3"
    std::function<bool()> connected;               ///< somebody is there; empty: always
    const host::UnixListener* listener = nullptr;  ///< of a socket
    std::unique_ptr<chardev::LoggedChannel> channel;
  };
  /// Once open.
  std::span<const Port> ports() const { return ports_; }

 private:
  std::size_t serial_ = 0;  ///< how many are serial ports; they come first
  std::vector<Console> wanted_;
  std::vector<std::string> names_;  ///< of the virtio console's ports
  std::unique_ptr<std::deque<LateChannel>> late_ = std::make_unique<std::deque<LateChannel>>();
  std::vector<Port> ports_;
};

}  // namespace vireo::vmm
