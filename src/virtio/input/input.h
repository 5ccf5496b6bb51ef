// An input device (virtio 1.2, 5.8): a keyboard, a mouse, or a tablet, whose positions are absolute.
//
// What a person does comes as reports, each a few events that belong together; the device adds what ends one. A report
// goes to the guest whole or not at all: where the guest does not fetch them, kMaxWaiting events wait, and later
// reports are dropped.
//
// The guest's side of the state (lights of a keyboard) is taken and not looked at.
//
// Threads: report() from any; the event queue's mutex guards what waits.
#pragma once

#include <array>
#include <deque>
#include <mutex>
#include <span>
#include <string_view>

#include "virtio/device/device.h"
#include "virtio/input/spec.h"

namespace vireo::virtio {

enum class InputKind : u8 { Keyboard, Mouse, Tablet };

class Input final : public Device {
 public:
  static constexpr std::size_t kMaxWaiting = 1024;

  explicit Input(InputKind kind) : kind_(kind) {}

  /// Whether it has events of that type (EV_...).
  bool has(u16 type) const;
  InputKind kind() const { return kind_; }
  /// False: it is dropped.
  bool report(std::span<const input::Event> events);

  u16 id() const override { return input::kDeviceId; }
  u32 pci_class() const override;
  u64 features() const override { return 0; }
  std::span<const u16> queues() const override { return kSizes; }
  u32 config_size() const override { return input::config::kSize; }

  void notify(unsigned queue) override;
  void reset() override;
  void read_config(u32 offset, std::span<u8> to) override;
  void write_config(u32 offset, std::span<const u8> from) override;

  std::vector<u8> save() const override;
  Result<> load(std::span<const u8> state) override;

 private:
  static constexpr std::array<u16, input::kQueues> kSizes = {64, 64};

  std::vector<u8> selected() const;
  std::vector<u8> bits(u16 type) const;
  std::vector<u8> range(u16 axis) const;
  bool deliver();

  const InputKind kind_;
  mutable std::mutex config_mutex_;
  u8 select_ = 0, subsel_ = 0;
  std::deque<input::Event> waiting_;
  Chain delivering_, taking_;
};

}  // namespace vireo::virtio
