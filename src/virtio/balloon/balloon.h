// The memory balloon (virtio 1.2, 5.5): memory the guest does not use goes back to the host.
//
//   inflation   the host asks for a number of pages; the driver takes them from the guest and tells which
//   reporting   the driver tells of pages that lie free anyway; the guest takes them again without asking
//
// Either way the pages' contents are lost: they are given back at once, read as zeroes, and take memory again when the
// guest touches them. A guest that fills free pages with a pattern other than zero (page poisoning) keeps what it
// reports.
//
// Queues: with statistics not negotiated some drivers put reporting in their place, and with no hinting in the place of
// that; whatever is no other queue is taken for reports.
//
// Threads: as virtio/device; the host's side from any thread.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>

#include "virtio/balloon/spec.h"
#include "virtio/device/device.h"

namespace vireo::virtio {

class Balloon final : public Device {
 public:
  // ---- The host's side

  /// How much the guest should give, in bytes (rounded down to pages). It may not, or not soon.
  void set_target(u64 bytes);
  /// How much it says it has given, in bytes.
  u64 given() const { return u64{actual_} * balloon::kPage; }
  /// By tag (balloon::S_...), in bytes or events; what the driver did not tell is empty.
  using Stats = std::array<std::optional<u64>, balloon::kStats>;
  /// What the driver told last.
  Stats stats() const;
  /// Hears when the driver says that given() has changed, on a vCPU's thread. Before the machine runs.
  void observe(std::function<void()> changed) { changed_ = std::move(changed); }
  /// Asks the driver for new ones. False: it does not tell.
  bool ask_for_stats();

  // ---- The driver's side

  u16 id() const override { return balloon::kDeviceId; }
  u32 pci_class() const override { return 0x00FF00; }
  u64 features() const override;
  std::span<const u16> queues() const override { return kSizes; }
  u32 config_size() const override { return balloon::config::kSize; }

  bool negotiated(u64 features) override;
  void notify(unsigned queue) override;
  void reset() override;
  void read_config(u32 offset, std::span<u8> to) override;
  void write_config(u32 offset, std::span<const u8> from) override;

  std::vector<u8> save() const override;
  Result<> load(std::span<const u8> state) override;

 private:
  static constexpr std::array<u16, balloon::kQueues> kSizes = {128, 128, 16, 32, 32};

  void inflate(Pieces& pages);
  void take_report(const Pieces& pages);
  void take_stats();
  void give_back(u64 offset, u64 length);

  std::atomic<u64> features_{0};
  std::atomic<u32> target_{0}, actual_{0};  ///< pages
  std::atomic<u32> poison_{0};
  std::array<Chain, balloon::kQueues> chains_;  ///< each guarded by its queue's mutex
  std::function<void()> changed_ = [] {};
  mutable std::mutex stats_mutex_;
  Stats stats_;
};

}  // namespace vireo::virtio
