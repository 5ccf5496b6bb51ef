// The bus between the local APICs: routes IPIs and message-signalled interrupts by their destination (SDM
// 3A 11.6, 11.11).
//
// Life: made first; each Lapic adds itself in its constructor; the set is fixed once vCPUs run, and is destroyed after
// their threads and the event loop have ended. Sending is lock-free and may be done from any thread.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "irq/lapic/message.h"

namespace vireo::irq {

class Lapic;

class ApicBus final : public vm::MsiSink {
 public:
  /// Where ends of level-triggered interrupts go: the I/O APIC. Called on vCPU threads with no lock held. Set once,
  /// before the vCPUs run.
  void set_level_eoi(std::function<void(u8 vector)> level_eoi) { level_eoi_ = std::move(level_eoi); }

  void send(const vm::MsiMessage& message) override;
  /// From an ICR.
  void send_ipi(Lapic& sender, apic::Shorthand shorthand, const ApicDestination& to, const ApicMessage& message);

  /// nullptr: no such APIC.
  Lapic* find(u32 apic_id) const;
  std::span<Lapic* const> lapics() const { return lapics_; }

  // For Lapic.
  void add(Lapic& lapic) { lapics_.push_back(&lapic); }
  void level_eoi(u8 vector) const {
    if (level_eoi_) level_eoi_(vector);
  }

 private:
  void deliver(const ApicDestination& to, const ApicMessage& message);
  void deliver_lowest_priority(const ApicDestination& to, const ApicMessage& message);

  std::vector<Lapic*> lapics_;
  std::function<void(u8)> level_eoi_;
};

}  // namespace vireo::irq
