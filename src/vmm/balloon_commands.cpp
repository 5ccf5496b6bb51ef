#include "vmm/balloon_commands.h"

#include <algorithm>

namespace vireo::vmm {
namespace {

using api::Answer;
using api::Arguments;
using api::Json;
using Type = api::Parameter::Type;

constexpr u64 kPeriodNs = 1'000'000'000;  ///< QEMU's limit for this event

std::unexpected<api::CommandError> no_balloon() {
  return std::unexpected(api::CommandError{api::ErrorClass::DeviceNotActive, "No balloon device has been activated"});
}

}  // namespace

BalloonWatch::BalloonWatch(host::Loop& loop, machine::Pc& pc, std::function<void(u64 bytes)> changed)
    : pc_(pc), changed_(std::move(changed)), told_(pc.spec().memory) {
  if (pc_.balloon() == nullptr) return;
  later_ = loop.make_timer([this] { tell(); });
  wake_ = loop.make_timer([this] { later_->arm(told_ns_ + kPeriodNs); });
  pc_.balloon()->observe([this] { wake_->arm(0); });
}

u64 BalloonWatch::left() const { return pc_.spec().memory - std::min(pc_.balloon()->given(), pc_.spec().memory); }

void BalloonWatch::tell() {
  told_ns_ = host::Loop::now_ns();
  if (const u64 now = left(); std::exchange(told_, now) != now) changed_(now);
}

void BalloonWatch::add_commands(api::Commands& commands) {
  commands.add({"balloon", {{"value", Type::Integer, true}}, [this](const Arguments& arguments) -> Answer {
                  if (pc_.balloon() == nullptr) return no_balloon();
                  const i64 value = arguments.integer("value");
                  if (value <= 0) return api::refuse("Parameter 'target' expects a size");
                  const u64 memory = pc_.spec().memory;
                  pc_.balloon()->set_target(memory - std::min(static_cast<u64>(value), memory));
                  return Json::object();
                }});
  commands.add({"query-balloon", {}, [this](const Arguments&) -> Answer {
                  if (pc_.balloon() == nullptr) return no_balloon();
                  return Json{{"actual", left()}};
                }});
}

}  // namespace vireo::vmm
