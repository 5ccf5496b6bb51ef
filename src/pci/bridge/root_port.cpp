#include "pci/bridge/root_port.h"

#include <array>
#include <cassert>

#include "base/bits.h"
#include "pci/bridge/spec.h"

namespace vireo::pci {
namespace {

namespace slot = express::slot;

/// Red Hat's generic root port, which every guest's generic driver takes.
constexpr Identity kIdentity = {.vendor = 0x1B36, .device = 0x000C, .class_code = 0x060400, .interrupt_pin = 1};
constexpr u16 kDeviceControlWritable = 0x7FFF, kLinkControlWritable = 0x0FCB, kRootControlWritable = 0x001F,
              kDeviceControl2Writable = 0x001F, kLinkControl2Writable = 0x000F;

/// What follows id and next of a capability.
template <std::size_t Size>
class Body {
 public:
  template <class T>
  void set(u16 offset, T value, T writable = 0) {
    store(&bytes_[offset - 2u], value);
    store(&writable_[offset - 2u], writable);
  }
  u16 add_to(ConfigSpace& config, u8 id) const { return config.add_capability(id, bytes_, writable_); }

 private:
  std::array<u8, Size - 2> bytes_{}, writable_{};
};

u16 add_express(ConfigSpace& config, unsigned number) {
  using namespace express;
  Body<kCapabilitySize> body;
  body.set<u16>(PcieCapabilities, kVersion2 | kRootPort | kSlotImplemented);
  body.set<u32>(DeviceCapabilities, kRoleBasedErrorReporting);
  body.set<u16>(DeviceControl, 0, kDeviceControlWritable);
  body.set<u32>(LinkCapabilities,
                link::Speed2_5 | link::Width1 | link::ActiveReportingCapable | u32{number} << link::kPortNumberShift);
  body.set<u16>(LinkControl, 0, kLinkControlWritable);
  body.set<u16>(LinkStatus, link::CurrentSpeed2_5 | link::NegotiatedWidth1);
  body.set<u32>(SlotCapabilities, slot::AttentionButtonPresent | slot::PowerControllerPresent |
                                      slot::AttentionIndicatorPresent | slot::PowerIndicatorPresent |
                                      slot::HotPlugCapable | u32{number} << slot::kNumberShift);
  body.set<u16>(SlotControl, slot::kAttentionIndicatorOff | slot::kPowerIndicatorOff | slot::PowerOff,
                slot::kControlWritable);
  body.set<u16>(RootControl, 0, kRootControlWritable);
  body.set<u16>(DeviceControl2, 0, kDeviceControl2Writable);
  body.set<u16>(LinkControl2, u16{1}, kLinkControl2Writable);
  return body.add_to(config, kCapabilityId);
}

u16 add_msi(ConfigSpace& config) {
  using namespace express::msi;
  Body<kCapabilitySize> body;
  body.set<u16>(Control, kAddress64, Enable);
  body.set<u32>(Address, 0, 0xFFFFFFFC);
  body.set<u32>(UpperAddress, 0, 0xFFFFFFFF);
  body.set<u16>(Data, 0, 0xFFFF);
  return body.add_to(config, express::kMsiCapabilityId);
}

bool within(const ConfigSpace::Range& range, u64 first, u64 last) {
  return first <= last && range.base >= first && range.base + (range.size - 1) <= last;
}

}  // namespace

RootPort::RootPort(Setup setup) : setup_(std::move(setup)), config_(HeaderType::Bridge, kIdentity, kExpressSize) {
  assert(setup_.number >= 1 && setup_.number <= 0xFF);
  express_ = add_express(config_, setup_.number);
  msi_ = add_msi(config_);
}

bool RootPort::powered() const { return (slot_control() & slot::PowerOff) == 0; }
u16 RootPort::slot_control() const { return config_.get<u16>(static_cast<u16>(express_ + express::SlotControl)); }
void RootPort::set_slot_control(u16 value) { config_.set(static_cast<u16>(express_ + express::SlotControl), value); }

/// Slot and link status follow from the rest.
void RootPort::show_slot() {
  const u16 status_at = static_cast<u16>(express_ + express::LinkStatus);
  const u16 link = config_.get<u16>(status_at);
  const bool active = occupied() && powered();
  if (active != ((link & express::link::Active) != 0)) events_ |= slot::LinkStateChanged;
  config_.set(status_at, static_cast<u16>(active ? link | express::link::Active : link & ~express::link::Active));
  config_.set(static_cast<u16>(express_ + express::SlotStatus),
              static_cast<u16>(events_ | (occupied() ? slot::PresenceDetectState : 0)));
}

void RootPort::raise(u16 events) {
  events_ |= events;
  show_slot();
  update_interrupt();
}

/// 6.7.3.4: one interrupt when the first enabled event comes; the pin stays while there is one.
void RootPort::update_interrupt() {
  const u16 control = slot_control();
  const u16 enabled = control & (slot::AttentionButtonPressedEnable | slot::PresenceDetectChangedEnable |
                                 slot::CommandCompletedInterruptEnable);
  const bool link = (control & slot::LinkStateChangedEnable) != 0 && (events_ & slot::LinkStateChanged) != 0;
  const bool before = interrupt_;
  interrupt_ = (control & slot::HotPlugInterruptEnable) != 0 && ((enabled & events_) != 0 || link);
  const bool message = (config_.get<u16>(static_cast<u16>(msi_ + express::msi::Control)) & express::msi::Enable) != 0;
  const u16 status = config_.get<u16>(reg::Status);
  config_.set(reg::Status,
              static_cast<u16>(interrupt_ ? status | status::InterruptStatus : status & ~status::InterruptStatus));
  setup_.pin.set(interrupt_ && !message && !config_.enabled(command::InterruptDisable));
  if (!message || !interrupt_ || before || !config_.enabled(command::BusMaster)) return;
  const auto field = [&](u16 offset) { return config_.get<u32>(static_cast<u16>(msi_ + offset)); };
  setup_.msi.send({.address = field(express::msi::Address) | u64{field(express::msi::UpperAddress)} << 32,
                   .data = config_.get<u16>(static_cast<u16>(msi_ + express::msi::Data))});
}

void RootPort::insert(Function& function) {
  const std::lock_guard lock(mutex_);
  assert(function_ == nullptr);
  function_ = &function;
  removing_ = power_lost_ = false;
  raise(slot::PresenceDetectChanged | slot::AttentionButtonPressed);
}

void RootPort::remove() {
  const std::lock_guard lock(mutex_);
  assert(function_ != nullptr);
  function_ = nullptr;
  removing_ = power_lost_ = false;
  raise(slot::PresenceDetectChanged);
}

bool RootPort::ask_to_remove() {
  const std::lock_guard lock(mutex_);
  assert(function_ != nullptr);
  if (removing_) return false;
  removing_ = true;
  if (powered()) raise(slot::AttentionButtonPressed);
  return true;
}

bool RootPort::released() const {
  const std::lock_guard lock(mutex_);
  return removing_ && !powered() && (slot_control() & slot::kPowerIndicator) == slot::kPowerIndicatorOff;
}

bool RootPort::removing() const {
  const std::lock_guard lock(mutex_);
  return removing_;
}

bool RootPort::take_power_loss() {
  const std::lock_guard lock(mutex_);
  return std::exchange(power_lost_, false);
}

u32 RootPort::config_read(u16 offset, u8 size) {
  const std::lock_guard lock(mutex_);
  return config_.read(offset, size);
}

/// True when the owner has to look.
bool RootPort::write_slot(u16 offset, u8 size, u32 value) {
  const u16 before = slot_control();
  config_.write(offset, size, value);
  // Slot Status: what is written as one is cleared.
  const u16 status_at = static_cast<u16>(express_ + express::SlotStatus);
  for (unsigned i = 0; i < size; ++i) {
    const unsigned at = offset + i - status_at;
    if (at < 2) events_ &= static_cast<u16>(~((value >> (8 * i) & 0xFF) << (8 * at)));
  }
  const u16 control_at = static_cast<u16>(express_ + express::SlotControl);
  if (offset < control_at + 2 && offset + size > control_at) events_ |= slot::CommandCompleted;
  const bool lost = (before & slot::PowerOff) == 0 && !powered() && occupied();
  power_lost_ = power_lost_ || lost;
  show_slot();
  const bool off = !powered() && (slot_control() & slot::kPowerIndicator) == slot::kPowerIndicatorOff;
  return lost || (removing_ && off);
}

void RootPort::config_write(u16 offset, u8 size, u32 value) {
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    const u16 first = static_cast<u16>(express_ + express::SlotControl);
    if (offset + size > first && offset < first + 4) {
      changed = write_slot(offset, size, value);
    } else {
      config_.write(offset, size, value);
    }
    update_interrupt();
  }
  if (changed) setup_.changed();
}

u8 RootPort::secondary_bus() const {
  const std::lock_guard lock(mutex_);
  return config_.get<u8>(reg::SecondaryBus);
}

Function* RootPort::behind(u32 device_function) const {
  const std::lock_guard lock(mutex_);
  return device_function == 0 && powered() ? function_ : nullptr;
}

bool RootPort::forwards(const ConfigSpace::Range& range) const {
  const std::lock_guard lock(mutex_);
  // Base and limit: the low bits of a base are zero, those of a limit one (3.2.5.6 to 3.2.5.9).
  if (range.kind == BarKind::Io) {
    const auto part = [&](u16 low, u16 upper) {
      return u64{config_.get<u16>(upper)} << 16 | (config_.get<u8>(low) & 0xF0u) << 8;
    };
    return config_.enabled(command::IoSpace) &&
           within(range, part(reg::IoBase, reg::IoBaseUpper), part(reg::IoLimit, reg::IoLimitUpper) | 0xFFF);
  }
  if (!config_.enabled(command::MemorySpace)) return false;
  const auto part = [&](u16 low) { return u64{config_.get<u16>(low) & 0xFFF0u} << 16; };
  const auto upper = [&](u16 offset) { return u64{config_.get<u32>(offset)} << 32; };
  return within(range, part(reg::MemoryBase), part(reg::MemoryLimit) | 0xFFFFF) ||
         within(range, part(reg::PrefetchBase) | upper(reg::PrefetchBaseUpper),
                part(reg::PrefetchLimit) | upper(reg::PrefetchLimitUpper) | 0xFFFFF);
}

/// What firmware would have left: a slot with a function in it has power.
void RootPort::set_power_of_empty_or_full_slot() {
  if (!occupied()) return;  // as at construction
  set_slot_control(slot::kAttentionIndicatorOff | slot::kPowerIndicatorOn);
}

void RootPort::reset() {
  const std::lock_guard lock(mutex_);
  config_.reset();
  removing_ = power_lost_ = false;
  set_power_of_empty_or_full_slot();
  show_slot();
  events_ = 0;
  show_slot();
  update_interrupt();
}

vm::StateRecord RootPort::save() const {
  const std::lock_guard lock(mutex_);
  return vm::save_fields(setup_.name, RootPortState{.config = config_.save(setup_.name).bytes,
                                                    .slot_events = events_,
                                                    .occupied = occupied(),
                                                    .removing = removing_,
                                                    .power_lost = power_lost_});
}

Result<> RootPort::load(const vm::StateRecord& record) {
  RootPortState state;
  TRY(vm::load_fields(record, state));
  const std::lock_guard lock(mutex_);
  if (state.occupied != occupied()) {
    return fail(ErrorKind::Usage, "{} is {} in the saved machine, and {} here", setup_.name,
                state.occupied ? "occupied" : "empty", occupied() ? "occupied" : "empty");
  }
  const bool good = (state.slot_events & ~slot::kEvents) == 0 && (state.occupied || !state.removing);
  if (!good) return fail(ErrorKind::Usage, "state of '{}' is corrupt", record.name);
  TRY(config_.load_record({.name = record.name, .version = 1, .bytes = std::move(state.config)}));
  removing_ = state.removing;
  power_lost_ = state.power_lost;
  show_slot();
  events_ = state.slot_events;
  show_slot();
  interrupt_ = true;  // its message has been sent
  update_interrupt();
  return {};
}

}  // namespace vireo::pci
