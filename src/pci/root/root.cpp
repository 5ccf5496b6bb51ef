#include "pci/root/root.h"

#include <algorithm>
#include <cassert>

#include "base/bits.h"

namespace vireo::pci {
namespace {

// CONFIG_ADDRESS (3.2.2.3.2)
constexpr u32 kEnable = 0x80000000, kConfigAddressWritable = 0x80FFFFFC;
constexpr u16 kConfigData = 4;  // offset of port 0xCFC

struct State {
  u32 config_address = 0;
  std::vector<u8> levels;  ///< of the inputs, in the order they were made
  static constexpr u16 kVersion = 1;
};
void fields(vm::Archive& ar, State& s) {
  auto& [config_address, levels] = s;
  ar(config_address, levels);
}

/// Calls `access(offset, size, shift)` for pieces of 1, 2 or 4 bytes that do not cross a doubleword; `shift` is the
/// piece's place in the value, in bits.
template <class Access>
void for_each_piece(u64 offset, u8 size, Access access) {
  for (u8 done = 0; done < size;) {
    u8 piece = 1;
    for (const u8 larger : {u8{4}, u8{2}}) {
      if ((offset + done) % larger == 0 && size - done >= larger) {
        piece = larger;
        break;
      }
    }
    access(offset + done, piece, 8u * done);
    done = static_cast<u8>(done + piece);
  }
}

}  // namespace

Root::Root(const std::array<vm::IrqLine*, kWires>& wires, Function* host) : wires_(wires) {
  attach(0, 0, host != nullptr ? *host : host_bridge_);
}

void Root::attach(unsigned device, unsigned number, Function& function) {
  assert(device < kDevices && number < kFunctions);
  auto& place = functions_[device * kFunctions + number];
  assert(place == nullptr);
  place = &function;
}

void Root::attach_bridge(unsigned device, unsigned number, Bridge& bridge) {
  attach(device, number, bridge);
  bridges_.push_back(&bridge);
}

vm::IrqLine& Root::intx(unsigned device, unsigned pin) { return inputs_.emplace_back(*this, wire(device, pin)); }

Function* Root::find(u32 bus, u32 device_function) const {
  if (bus == 0) return device_function < functions_.size() ? functions_[device_function] : nullptr;
  for (const auto* bridge : bridges_) {
    if (bridge->secondary_bus() == bus) return bridge->behind(device_function);
  }
  return nullptr;
}

u32 Root::config_read(u32 bus, u32 device_function, u16 offset, u8 size) {
  Function* function = find(bus, device_function);
  return function == nullptr ? static_cast<u32>(mask_for_size(size)) : function->config_read(offset, size);
}

void Root::config_write(u32 bus, u32 device_function, u16 offset, u8 size, u32 value) {
  Function* function = find(bus, device_function);
  if (function == nullptr) return;
  function->config_write(offset, size, value);
  // A bridge hides what is behind it when the guest turns its slot off, too.
  if (offset < reg::kFirstCapability || std::ranges::find(bridges_, function) != bridges_.end()) update_routes();
}

void Root::update_routes() {
  // One writer at a time, from asking the functions to publishing, so that the last config write wins.
  static_assert(sizeof(Route) <= 64);
  std::vector<Route> routes;
  const std::unique_lock lock(routes_mutex_);
  for (Function* function : functions_) {
    if (function == nullptr) continue;
    for (const auto& range : function->decoded()) routes.push_back({range, function});
  }
  for (const Bridge* bridge : bridges_) {
    Function* function = bridge->behind(0);
    if (function == nullptr) continue;
    for (const auto& range : function->decoded()) {
      if (bridge->forwards(range)) routes.push_back({range, function});
    }
  }
  routes_ = std::move(routes);
}

std::optional<Root::Route> Root::route(bool io, u64 address, u8 size) const {
  const std::shared_lock lock(routes_mutex_);
  for (const auto& entry : routes_) {
    const auto& range = entry.range;
    if ((range.kind == BarKind::Io) == io && address - range.base < range.size &&
        size <= range.size - (address - range.base)) {
      return entry;
    }
  }
  return std::nullopt;
}

u64 Root::memory_read(u64 address, u8 size) {
  const auto to = route(false, address, size);
  return to ? to->function->bar_read(to->range.bar, address - to->range.base, size) : mask_for_size(size);
}

void Root::memory_write(u64 address, u8 size, u64 value) {
  if (const auto to = route(false, address, size))
    to->function->bar_write(to->range.bar, address - to->range.base, size, value);
}

u32 Root::io_read(u16 port, u8 size) {
  const auto to = route(true, port, size);
  return static_cast<u32>(to ? to->function->bar_read(to->range.bar, port - to->range.base, size)
                             : mask_for_size(size));
}

void Root::io_write(u16 port, u8 size, u32 value) {
  if (const auto to = route(true, port, size))
    to->function->bar_write(to->range.bar, port - to->range.base, size, value);
}

u32 Root::ConfigPorts::port_read(u16 offset, u8 size) {
  const u32 address = root_.config_address_.load(std::memory_order_relaxed);
  if (offset == 0 && size == 4) return address;
  if (offset < kConfigData || (address & kEnable) == 0) return static_cast<u32>(mask_for_size(size));
  u32 value = 0;
  for_each_piece((address & 0xFC) + (offset - kConfigData), size, [&](u64 at, u8 piece, unsigned shift) {
    value |= root_.config_read(address >> 16 & 0xFF, address >> 8 & 0xFF, static_cast<u16>(at), piece) << shift;
  });
  return value;
}

void Root::ConfigPorts::port_write(u16 offset, u8 size, u32 value) {
  if (offset == 0 && size == 4) root_.config_address_.store(value & kConfigAddressWritable, std::memory_order_relaxed);
  const u32 address = root_.config_address_.load(std::memory_order_relaxed);
  if (offset < kConfigData || (address & kEnable) == 0) return;
  for_each_piece((address & 0xFC) + (offset - kConfigData), size, [&](u64 at, u8 piece, unsigned shift) {
    root_.config_write(address >> 16 & 0xFF, address >> 8 & 0xFF, static_cast<u16>(at), piece, value >> shift);
  });
}

u64 Root::Ecam::mmio_read(u64 offset, u8 size) {
  u64 value = 0;
  for_each_piece(offset, size, [&](u64 at, u8 piece, unsigned shift) {
    value |= u64{root_.config_read(static_cast<u32>(at >> 20), at >> 12 & 0xFF, at & 0xFFF, piece)} << shift;
  });
  return value;
}

void Root::Ecam::mmio_write(u64 offset, u8 size, u64 value) {
  for_each_piece(offset, size, [&](u64 at, u8 piece, unsigned shift) {
    root_.config_write(static_cast<u32>(at >> 20), at >> 12 & 0xFF, at & 0xFFF, piece,
                       static_cast<u32>(value >> shift));
  });
}

void Root::Input::set(bool level) {
  const std::lock_guard lock(root_.wires_mutex_);
  if (level_ == level) return;
  level_ = level;
  root_.drive(wire_);
}

void Root::drive(unsigned wire) {
  const bool level =
      std::ranges::any_of(inputs_, [&](const Input& input) { return input.wire_ == wire && input.level_; });
  wires_[wire]->set(level);
}

void Root::reset() {
  config_address_ = 0;
  update_routes();
  const std::lock_guard lock(wires_mutex_);
  for (auto& input : inputs_) input.level_ = false;
  for (unsigned wire = 0; wire < kWires; ++wire) wires_[wire]->set(false);
}

vm::StateRecord Root::save() const {
  State state{.config_address = config_address_.load(), .levels = {}};
  const std::lock_guard lock(wires_mutex_);
  for (const auto& input : inputs_) state.levels.push_back(input.level_ ? 1 : 0);
  return vm::save_fields("pci", state);
}

Result<> Root::load(const vm::StateRecord& record) {
  State state;
  TRY(vm::load_fields(record, state));
  const bool good = std::ranges::all_of(state.levels, [](u8 level) { return level <= 1; });
  if (!good || state.levels.size() != inputs_.size() || (state.config_address & ~kConfigAddressWritable) != 0) {
    return fail(ErrorKind::Usage, "state of '{}' is corrupt", record.name);
  }
  config_address_ = state.config_address;
  {
    const std::lock_guard lock(wires_mutex_);
    for (std::size_t i = 0; i < inputs_.size(); ++i) inputs_[i].level_ = state.levels[i] == 1;
  }
  update_routes();
  return {};
}

}  // namespace vireo::pci
