// What a device is wired to, for its unit test: a clock that stands until it is moved, lines and channels that
// remember.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "chardev/api/channel.h"
#include "vm/clock/clock.h"
#include "vm/device/device.h"

namespace vireo::test {

class FakeClock final : public vm::Clock {
 public:
  u64 now_ns() const override { return now_; }
  u64 tsc() const override { return now_; }
  u64 tsc_khz() const override { return 1'000'000; }
  vm::TscScale tsc_scale() const override { return {}; }
  u64 tsc_at_ns(u64 ns) const override { return ns; }
  u64 ns_at_tsc(u64 tsc) const override { return tsc; }
  u64 wall_ns() const override { return wall_at_zero + now_; }
  std::unique_ptr<vm::Timer> make_timer(std::function<void()> expired) override {
    return std::make_unique<FakeTimer>(*this, std::move(expired));
  }

  /// Time passes, and timers expire at their moments.
  void advance(u64 ns) {
    const u64 until = now_ + ns;
    while (FakeTimer* timer = next(until)) {
      now_ = std::max(now_, timer->deadline);
      timer->armed = false;
      ++expirations;
      timer->expired();
    }
    now_ = until;
  }
  /// Time passes while the event loop is busy with something else: timers expire late, all at the end.
  void oversleep(u64 ns) {
    now_ += ns;
    advance(0);
  }
  unsigned armed() const {
    return static_cast<unsigned>(std::ranges::count_if(timers_, [](const FakeTimer* timer) { return timer->armed; }));
  }

  u64 wall_at_zero = 0;
  unsigned expirations = 0;

 private:
  struct FakeTimer final : vm::Timer {
    FakeTimer(FakeClock& owner, std::function<void()> call) : clock(owner), expired(std::move(call)) {
      clock.timers_.push_back(this);
    }
    ~FakeTimer() override { std::erase(clock.timers_, this); }
    void arm(u64 deadline_ns) override {
      deadline = deadline_ns;
      armed = true;
    }
    void cancel() override { armed = false; }
    FakeClock& clock;
    std::function<void()> expired;
    u64 deadline = 0;
    bool armed = false;
  };
  FakeTimer* next(u64 until) {
    FakeTimer* first = nullptr;
    for (auto* timer : timers_) {
      if (timer->armed && timer->deadline <= until && (first == nullptr || timer->deadline < first->deadline))
        first = timer;
    }
    return first;
  }
  u64 now_ = 0;
  std::vector<FakeTimer*> timers_;
};

struct FakeLine final : vm::IrqLine {
  void set(bool to) override {
    edges += to && !level ? 1 : 0;
    level = to;
  }
  bool level = false;
  unsigned edges = 0;  ///< rising ones
};

struct FakePower final : vm::PowerControl {
  void request(Request what) override { requests.push_back(what); }
  std::vector<Request> requests;
};

/// Output collects in `sent`; input waits in `waiting` until the sink takes it.
class FakeChannel final : public chardev::ByteChannel {
 public:
  bool write(std::span<const u8> bytes) override {
    sent.append(bytes.begin(), bytes.end());
    return !stuck;
  }
  void flush() override {}
  void set_sink(chardev::ByteSink* to) override { sink = to; }
  void resume_input() override { pump(); }

  void type(std::string_view text) {
    waiting.insert(waiting.end(), text.begin(), text.end());
    pump();
  }
  void pump() {
    while (sink != nullptr && !waiting.empty()) {
      const std::size_t count = std::min(sink->room(), waiting.size());
      if (count == 0) return;
      const std::vector<u8> bytes(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(count));
      waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(count));
      sink->receive(bytes);
    }
  }

  chardev::ByteSink* sink = nullptr;
  std::string sent;
  std::deque<u8> waiting;
  bool stuck = false;
};

/// What the fuzz targets and tests of corrupt states share.
inline vm::StateRecord truncated(vm::StateRecord record) {
  record.bytes.pop_back();
  return record;
}

}  // namespace vireo::test
