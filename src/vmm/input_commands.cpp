#include "vmm/input_commands.h"

#include <algorithm>

#include "api/key_names.h"

namespace vireo::vmm {

using api::Answer;
using api::Arguments;
using api::Json;
using namespace virtio::input;

namespace {

constexpr i64 kHoldMs = 100, kMostHoldMs = 60'000;

std::unexpected<std::string> wrong(std::string text) { return std::unexpected(std::move(text)); }

std::string text_in(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return object.is_object() && found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

template <class Value>
std::optional<Value> value_in(const Json& object, const char* name) {
  if (!object.is_object()) return std::nullopt;
  const auto found = object.find(name);
  if (found == object.end()) return std::nullopt;
  if constexpr (std::is_same_v<Value, bool>) {
    if (!found->is_boolean()) return std::nullopt;
  } else {
    if (!found->is_number_integer()) return std::nullopt;
  }
  return found->get<Value>();
}

Json member(const Json& object, const char* name) {
  return object.is_object() && object.contains(name) ? object.at(name) : Json();
}

/// A KeyValue: {"type": "qcode", "data": "a"} or {"type": "number", "data": 30}.
std::expected<u16, std::string> key_of(const Json& key) {
  const auto type = text_in(key, "type");
  std::optional<u16> code;
  if (type == "qcode") {
    const auto name = text_in(key, "data");
    code = api::key_by_name(name);
    if (!code) return wrong(fmt::format("Parameter 'data' does not accept value '{}'", name));
  } else if (type == "number") {
    const auto number = value_in<i64>(key, "data");
    if (!number) return wrong("Parameter 'data' is missing");
    code = api::key_by_number(*number);
    if (!code) return wrong(fmt::format("no key has the number {}", *number));
  } else {
    return wrong(fmt::format("Parameter 'type' does not accept value '{}'", type));
  }
  return *code;
}

/// An InputButton; wheels turn when theirs goes down.
std::expected<std::vector<Event>, std::string> button(const std::string& name, bool down) {
  struct Row {
    std::string_view name;
    Event event;
  };
  static constexpr Row kButtons[] = {
      {"left", {EV_KEY, BTN_LEFT, 1}},          {"middle", {EV_KEY, BTN_MIDDLE, 1}},
      {"right", {EV_KEY, BTN_RIGHT, 1}},        {"side", {EV_KEY, BTN_SIDE, 1}},
      {"extra", {EV_KEY, BTN_EXTRA, 1}},        {"wheel-up", {EV_REL, REL_WHEEL, 1}},
      {"wheel-down", {EV_REL, REL_WHEEL, ~0u}}, {"wheel-left", {EV_REL, REL_HWHEEL, ~0u}},
      {"wheel-right", {EV_REL, REL_HWHEEL, 1}}};
  const auto* row = std::ranges::find(kButtons, name, &Row::name);
  if (row == std::end(kButtons)) return wrong(fmt::format("Parameter 'button' does not accept value '{}'", name));
  if (row->event.type == EV_REL) return down ? std::vector{row->event} : std::vector<Event>{};
  return std::vector{Event{row->event.type, row->event.code, down ? 1u : 0u}};
}

std::expected<Event, std::string> movement(const Json& data, bool absolute) {
  const auto axis = text_in(data, "axis");
  if (axis != "x" && axis != "y") return wrong(fmt::format("Parameter 'axis' does not accept value '{}'", axis));
  const auto value = value_in<i64>(data, "value");
  if (!value) return wrong("Parameter 'value' is missing");
  const u16 number = axis == "x" ? 0 : 1;
  if (absolute) return Event{EV_ABS, number, static_cast<u32>(std::clamp<i64>(*value, 0, kAbsMax))};
  return Event{EV_REL, number, static_cast<u32>(std::clamp<i64>(*value, INT32_MIN, INT32_MAX))};
}

}  // namespace

InputCommands::InputCommands(host::Loop& loop, const Life& life, std::vector<virtio::Input*> inputs)
    : life_(life), inputs_(std::move(inputs)), timer_(loop.make_timer([this] { next_step(); })) {}

virtio::Input* InputCommands::first_with(u16 type, bool keyboard) const {
  const auto found = std::ranges::find_if(inputs_, [&](const virtio::Input* input) {
    return (input->kind() == virtio::InputKind::Keyboard) == keyboard && input->has(type);
  });
  return found == inputs_.end() ? nullptr : *found;
}

std::expected<std::vector<InputCommands::Sent>, std::string> InputCommands::events_of(const Json& event) const {
  const auto type = text_in(event, "type");
  const Json data = member(event, "data");
  std::vector<Event> events;
  virtio::Input* to = nullptr;
  if (type == "key" || type == "btn") {
    const auto down = value_in<bool>(data, "down");
    if (!down) return wrong("Parameter 'down' is missing");
    if (type == "key") {
      const auto key = key_of(member(data, "key"));
      if (!key) return wrong(key.error());
      events.push_back({EV_KEY, *key, *down ? 1u : 0u});
    } else {
      auto some = button(text_in(data, "button"), *down);
      if (!some) return wrong(some.error());
      events = std::move(*some);
    }
    to = first_with(EV_KEY, type == "key");
  } else if (type == "rel" || type == "abs") {
    const auto moved = movement(data, type == "abs");
    if (!moved) return wrong(moved.error());
    events.push_back(*moved);
    const auto found = std::ranges::find_if(inputs_, [&](const virtio::Input* input) {
      return input->kind() == (type == "abs" ? virtio::InputKind::Tablet : virtio::InputKind::Mouse);
    });
    if (found != inputs_.end()) to = *found;
  } else {
    return wrong(fmt::format("Parameter 'type' does not accept value '{}'", type));
  }
  if (to == nullptr) return wrong(fmt::format("Input handler not found for event type {}", type));
  std::vector<Sent> sent;
  sent.reserve(events.size());
  for (const auto& one : events) sent.push_back({to, one});
  return sent;
}

// All or nothing; what goes to one device is one report.
Answer InputCommands::send_events(const Arguments& arguments) {
  if (arguments.has("device")) return api::refuse("Device '{}' not found", arguments.text("device"));
  if (life_.state() != Life::State::Running) return api::refuse("VM not running");
  const auto& list = arguments.object().at("events");
  if (list.size() > kMostEvents) return api::refuse("at most {} events at a time", kMostEvents);
  std::vector<Sent> all;
  for (const auto& event : list) {
    const auto some = events_of(event);
    if (!some) return api::refuse("{}", some.error());
    all.insert(all.end(), some->begin(), some->end());
  }
  for (auto* input : inputs_) {
    std::vector<Event> report;
    for (const auto& [to, event] : all) {
      if (to == input) report.push_back(event);
    }
    if (!report.empty()) input->report(report);
  }
  return Json::object();
}

Answer InputCommands::send_keys(const Arguments& arguments) {
  if (life_.state() != Life::State::Running) return api::refuse("VM not running");
  if (first_with(EV_KEY, true) == nullptr) return api::refuse("Input handler not found for event type key");
  const auto& list = arguments.object().at("keys");
  if (list.size() > kMostEvents) return api::refuse("at most {} keys at a time", kMostEvents);
  const i64 hold = arguments.integer("hold-time", kHoldMs);
  if (hold < 0 || hold > kMostHoldMs) return api::refuse("Parameter 'hold-time' is 0 to {}", kMostHoldMs);
  Stroke stroke{.keys = {}, .hold_ns = static_cast<u64>(hold) * 1'000'000};
  for (const auto& key : list) {
    const auto code = key_of(key);
    if (!code) return api::refuse("{}", code.error());
    stroke.keys.push_back(*code);
  }
  if (strokes_.size() >= kMaxWaiting) return api::refuse("{} calls of send-key wait already", kMaxWaiting);
  strokes_.push_back(std::move(stroke));
  if (strokes_.size() == 1) next_step();
  return Json::object();
}

void InputCommands::next_step() {
  auto* keyboard = first_with(EV_KEY, true);
  if (down_) {
    const auto keys = std::move(strokes_.front().keys);
    strokes_.pop_front();
    down_ = false;
    for (auto key = keys.rbegin(); key != keys.rend(); ++key) keyboard->report(std::array{Event{EV_KEY, *key, 0}});
  }
  if (strokes_.empty()) return;
  down_ = true;
  for (const u16 key : strokes_.front().keys) keyboard->report(std::array{Event{EV_KEY, key, 1}});
  timer_->arm(host::Loop::now_ns() + strokes_.front().hold_ns);
}

void InputCommands::add_commands(api::Commands& commands) {
  using Type = api::Parameter::Type;
  commands.add({"input-send-event",
                {{"device", Type::String}, {"head", Type::Integer}, {"events", Type::Array, true}},
                [this](const Arguments& arguments) { return send_events(arguments); }});
  commands.add({"send-key",
                {{"keys", Type::Array, true}, {"hold-time", Type::Integer}},
                [this](const Arguments& arguments) { return send_keys(arguments); }});
}

}  // namespace vireo::vmm
