#include "virtio/input/input.h"

#include <algorithm>

#include "base/bytes.h"

namespace vireo::virtio {

using namespace input;

namespace {

struct State {
  u8 select = 0, subsel = 0;
  std::vector<u64> waiting;
  static constexpr u16 kVersion = 1;
};
void fields(vm::Archive& ar, State& s) {
  auto& [select, subsel, waiting] = s;
  ar(select, subsel, waiting);
}

std::string_view name_of(InputKind kind) {
  switch (kind) {
    case InputKind::Keyboard:
      return "Vireo Keyboard";
    case InputKind::Mouse:
      return "Vireo Mouse";
    case InputKind::Tablet:
      return "Vireo Tablet";
  }
  return {};
}

std::vector<u8> bitmap(std::initializer_list<u16> codes) {
  std::vector<u8> bytes(std::max(codes) / 8u + 1);
  for (const u16 code : codes) bytes[code / 8u] |= static_cast<u8>(1 << code % 8);
  return bytes;
}

}  // namespace

/// Input device controllers: keyboard, mouse, and others.
u32 Input::pci_class() const {
  return kind_ == InputKind::Keyboard ? 0x090000 : kind_ == InputKind::Mouse ? 0x090200 : 0x098000;
}

// ---- What it can do

std::vector<u8> Input::bits(u16 type) const {
  if (kind_ == InputKind::Keyboard) {
    if (type == EV_KEY) {
      std::vector<u8> all(kLastKey / 8 + 1, 0xFF);
      all[0] = 0xFE;  // KEY_RESERVED is none
      return all;
    }
    if (type == EV_LED) return bitmap({LED_NUML, LED_CAPSL, LED_SCROLLL});
    if (type == EV_REP) return {0};  // no codes: the guest repeats keys by itself
    return {};
  }
  if (type == EV_KEY) return bitmap({BTN_LEFT, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA});
  if (type == EV_REL && kind_ == InputKind::Mouse) return bitmap({REL_X, REL_Y, REL_WHEEL, REL_HWHEEL});
  if (type == EV_REL) return bitmap({REL_WHEEL, REL_HWHEEL});
  if (type == EV_ABS && kind_ == InputKind::Tablet) return bitmap({ABS_X, ABS_Y});
  return {};
}

bool Input::has(u16 type) const { return !bits(type).empty(); }

std::vector<u8> Input::range(u16 axis) const {
  if (kind_ != InputKind::Tablet || axis > ABS_Y) return {};
  ByteWriter bytes;
  for (const u32 value : {u32{0}, kAbsMax, u32{0}, u32{0}, u32{0}}) bytes.put(value);  // min, max, fuzz, flat, res
  return std::move(bytes.bytes());
}

std::vector<u8> Input::selected() const {
  switch (select_) {
    case ID_NAME: {
      const auto name = name_of(kind_);
      return {name.begin(), name.end()};
    }
    case ID_DEVIDS: {
      ByteWriter bytes;  // bustype, vendor, product, version
      for (const u16 value : {BUS_VIRTUAL, u16{0}, static_cast<u16>(static_cast<u16>(kind_) + 1), u16{1}}) {
        bytes.put(value);
      }
      return std::move(bytes.bytes());
    }
    case EV_BITS:
      return bits(subsel_);
    case ABS_INFO:
      return range(subsel_);
    default:
      return {};
  }
}

void Input::read_config(u32 offset, std::span<u8> to) {
  std::array<u8, config::kSize> image{};
  const std::lock_guard lock(config_mutex_);
  const auto bytes = selected();
  static_assert(kLastKey / 8 < config::kMaxBytes);
  image[config::select] = select_;
  image[config::subsel] = subsel_;
  image[config::size] = static_cast<u8>(bytes.size());
  std::ranges::copy(bytes, image.begin() + config::u);
  std::copy_n(image.begin() + offset, to.size(), to.begin());
}

void Input::write_config(u32 offset, std::span<const u8> from) {
  const std::lock_guard lock(config_mutex_);
  for (const u8 byte : from) {
    if (offset == config::select) select_ = byte;
    if (offset == config::subsel) subsel_ = byte;
    ++offset;
  }
}

// ---- Events

bool Input::report(std::span<const Event> events) {
  Queue& queue = host().queue(eventq);
  const std::lock_guard lock(queue.mutex());
  if (waiting_.size() + events.size() + 1 > kMaxWaiting) return false;
  waiting_.insert(waiting_.end(), events.begin(), events.end());
  waiting_.push_back({.type = EV_SYN, .code = SYN_REPORT, .value = 0});
  deliver();
  return true;
}

// True: there may be more buffers, and the driver does not tell of them.
bool Input::deliver() {
  Queue& queue = host().queue(eventq);
  queue.disable_notifications();
  for (unsigned left = queue.size(); left != 0 && !waiting_.empty(); --left) {
    if (!queue.pop(delivering_)) {
      if (queue.enable_notifications()) return false;
      queue.disable_notifications();
      continue;
    }
    const bool fits = delivering_.writable.put(host().memory(), &waiting_.front(), sizeof(Event));
    queue.push(delivering_, fits ? u32{sizeof(Event)} : 0);
    if (fits) waiting_.pop_front();
  }
  return !waiting_.empty() && queue.size() != 0;
}

void Input::notify(unsigned index) {
  Queue& queue = host().queue(index);
  bool more = false;
  if (index == statusq) {
    more = queue.serve(taking_, [](Chain&) { return 0u; });
  } else {
    const std::lock_guard lock(queue.mutex());
    more = deliver();
  }
  if (more) host().notify_later(index);
}

// ---- State

void Input::reset() {
  {
    const std::lock_guard lock(config_mutex_);
    select_ = subsel_ = 0;
  }
  const std::lock_guard lock(host().queue(eventq).mutex());
  waiting_.clear();
}

std::vector<u8> Input::save() const {
  State state;
  {
    const std::lock_guard lock(config_mutex_);
    state.select = select_;
    state.subsel = subsel_;
  }
  const std::lock_guard lock(host().queue(eventq).mutex());
  for (const auto& event : waiting_) state.waiting.push_back(vireo::load<u64>(&event));
  return vm::save_fields("", std::move(state)).bytes;
}

Result<> Input::load(std::span<const u8> saved) {
  State state;
  TRY(vm::load_fields({.name = "input", .version = State::kVersion, .bytes = {saved.begin(), saved.end()}}, state));
  if (state.waiting.size() > kMaxWaiting) return fail(ErrorKind::Usage, "too many events wait");
  {
    const std::lock_guard lock(config_mutex_);
    select_ = state.select;
    subsel_ = state.subsel;
  }
  const std::lock_guard lock(host().queue(eventq).mutex());
  waiting_.clear();
  for (const u64 event : state.waiting) waiting_.push_back(vireo::load<Event>(&event));
  return {};
}

}  // namespace vireo::virtio
