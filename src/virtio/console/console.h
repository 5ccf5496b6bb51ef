// The console device (virtio 1.2, 5.3): ports, each a byte channel. Port 0 works for drivers that know one port only;
// the others, names, and which of them are consoles are told by control messages.
//
// What the driver has to be told is a bit a port, not a list of messages: a driver that asks again and again without
// giving buffers for the answers uses no memory.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "virtio/console/port.h"
#include "virtio/console/spec.h"

namespace vireo::virtio {

struct ConsolePort {
  chardev::ByteChannel* channel = nullptr;  ///< outlives the device
  std::string name;                         ///< /dev/virtio-ports/NAME in Linux; empty: none
  bool console = true;                      ///< a terminal (hvc in Linux), or else plain bytes
};

class Console final : public Device {
 public:
  /// `ports` are 1..31.
  explicit Console(std::vector<ConsolePort> ports);
  ~Console() override;

  void attach(Host& host) override;
  u16 id() const override { return console::kDeviceId; }
  u32 pci_class() const override { return 0x078000; }
  u64 features() const override { return console::MULTIPORT; }
  std::span<const u16> queues() const override { return sizes_; }
  u32 config_size() const override { return console::config::kSize; }

  bool negotiated(u64 features) override;
  void notify(unsigned queue) override;
  void reset() override;
  void read_config(u32 offset, std::span<u8> to) override;

  std::vector<u8> save() const override;
  Result<> load(std::span<const u8> state) override;

 private:
  void take_message(Chain& chain);
  void tell(unsigned port, u8 what);
  void send_messages();

  const std::vector<ConsolePort> setup_;
  const std::vector<u16> sizes_;
  std::deque<console::Port> ports_;
  Chain taking_;             ///< the control transmit queue's mutex guards it
  std::vector<u8> to_tell_;  ///< by port; the control receive queue's mutex guards it
  Chain telling_;            ///< and this
};

}  // namespace vireo::virtio
