#include "virtio/console/console.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "base/bytes.h"

namespace vireo::virtio {

using namespace console;

namespace {

constexpr u16 kQueueSize = 128;

/// What a driver may have to be told of a port, in this order.
enum : u8 { kAdd = 1, kConsole = 2, kName = 4, kOpen = 8, kAll = 15 };
constexpr std::array<std::pair<u8, u16>, 4> kEvents = {
    {{kAdd, DEVICE_ADD}, {kConsole, CONSOLE_PORT}, {kName, PORT_NAME}, {kOpen, PORT_OPEN}}};

}  // namespace

Console::Console(std::vector<ConsolePort> ports)
    : setup_(std::move(ports)), sizes_(2 * setup_.size() + 2, kQueueSize), to_tell_(setup_.size()) {
  assert(!setup_.empty() && setup_.size() <= 31);
  for (unsigned i = 0; i < setup_.size(); ++i) ports_.emplace_back(*setup_[i].channel, console::receive_queue(i));
}

Console::~Console() {
  for (auto& port : ports_) port.detach();
}

void Console::attach(Host& host) {
  Device::attach(host);
  for (auto& port : ports_) port.attach(host);
}

bool Console::negotiated(u64 features) {
  if ((features & MULTIPORT) == 0) ports_[0].set_guest_open(true);
  return true;
}

void Console::notify(unsigned index) {
  if (index == kControlReceive) return send_messages();
  if (index == kControlTransmit) {
    const bool more = host().queue(index).serve(taking_, [&](Chain& chain) {
      take_message(chain);
      return 0u;
    });
    if (more) host().notify_later(index);
    for (unsigned i = 0; i < ports_.size(); ++i) ports_[i].deliver();
    return send_messages();
  }
  Port& port = ports_[index < kControlReceive ? 0 : index / 2 - 1];
  index % 2 == 0 ? port.deliver() : port.transmit();
}

// ---- Control messages

void Console::take_message(Chain& chain) {
  Control message;
  if (!chain.readable.take(&message, sizeof message)) return;
  if (message.event == DEVICE_READY && message.value == 1) {
    for (unsigned i = 0; i < ports_.size(); ++i) tell(i, kAdd);
  }
  if (message.id >= ports_.size()) return;
  const auto& setup = setup_[message.id];
  if (message.event == PORT_READY && message.value == 1) {
    tell(message.id, static_cast<u8>((setup.console ? kConsole : 0) | (setup.name.empty() ? 0 : kName) | kOpen));
  }
  if (message.event == PORT_OPEN) ports_[message.id].set_guest_open(message.value == 1);
}

void Console::tell(unsigned port, u8 what) {
  const std::lock_guard lock(host().queue(kControlReceive).mutex());
  to_tell_[port] |= what;
}

void Console::send_messages() {
  Queue& queue = host().queue(kControlReceive);
  const std::lock_guard lock(queue.mutex());
  for (unsigned i = 0; i < ports_.size(); ++i) {
    for (const auto& [bit, event] : kEvents) {
      if ((to_tell_[i] & bit) == 0) continue;
      if (!queue.pop(telling_)) {
        if (queue.enable_notifications() || !queue.pop(telling_)) return;
      }
      to_tell_[i] &= static_cast<u8>(~bit);
      const Control message{.id = i, .event = event, .value = 1};
      std::vector<u8> bytes(sizeof message);
      store(bytes.data(), message);
      if (event == PORT_NAME) bytes.insert(bytes.end(), setup_[i].name.begin(), setup_[i].name.end());
      const u64 count = std::min<u64>(bytes.size(), telling_.writable.size());
      telling_.writable.put(host().memory(), bytes.data(), count);
      queue.push(telling_, static_cast<u32>(count));
    }
  }
}

// ---- Configuration and state

void Console::read_config(u32 offset, std::span<u8> to) {
  std::array<u8, config::kSize> image{};
  store(&image[config::max_nr_ports], static_cast<u32>(ports_.size()));
  std::copy_n(image.begin() + offset, to.size(), to.begin());
}

void Console::reset() {
  for (auto& port : ports_) port.reset();
  const std::lock_guard lock(host().queue(kControlReceive).mutex());
  std::ranges::fill(to_tell_, u8{0});
}

std::vector<u8> Console::save() const {
  State state;
  for (unsigned i = 0; i < ports_.size(); ++i) {
    auto& port = state.ports.emplace_back();
    ports_[i].save(port);
    port.to_tell = to_tell_[i];
  }
  return vm::save_fields("", std::move(state)).bytes;
}

Result<> Console::load(std::span<const u8> saved) {
  State state;
  TRY(vm::load_fields({.name = "console", .version = State::kVersion, .bytes = {saved.begin(), saved.end()}}, state));
  const auto good = [](const PortState& port) { return Port::fits(port) && port.to_tell <= kAll; };
  if (state.ports.size() != ports_.size() || !std::ranges::all_of(state.ports, good)) {
    return fail(ErrorKind::Usage, "it has other ports");
  }
  for (unsigned i = 0; i < ports_.size(); ++i) {
    ports_[i].load(state.ports[i]);
    to_tell_[i] = state.ports[i].to_tell;
  }
  return {};
}

}  // namespace vireo::virtio
