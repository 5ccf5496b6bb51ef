// An event loop on a thread of its own, and what tests of channels do with it.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <string>
#include <thread>

#include "chardev/api/channel.h"
#include "host/fd.h"
#include "host/loop.h"

namespace vireo::test {

class LoopThread {
 public:
  LoopThread() : thread_([this] { loop->run(); }) {}
  ~LoopThread() {
    loop->stop();
    thread_.join();
  }
  const std::unique_ptr<host::Loop> loop = std::move(*host::Loop::create());

 private:
  std::thread thread_;
};

/// Within ten seconds.
template <class Condition>
bool soon(Condition condition) {
  for (int i = 0; i < 10'000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return condition();
}

inline std::span<const u8> bytes(std::string_view text) {
  return {reinterpret_cast<const u8*>(text.data()), text.size()};
}

/// A device that takes everything.
class EagerSink final : public chardev::ByteSink {
 public:
  std::size_t room() override { return 100; }
  void receive(std::span<const u8> more) override {
    const std::lock_guard lock(mutex_);
    text_.append(more.begin(), more.end());
  }
  void output_ready() override { ++ready; }
  std::string taken() {
    const std::lock_guard lock(mutex_);
    return text_;
  }
  std::atomic<int> ready = 0;

 private:
  std::mutex mutex_;
  std::string text_;
};

/// What comes until it ends with `end` or five seconds without a byte.
inline std::string read_until(const host::Fd& fd, std::string_view end) {
  std::string text;
  pollfd ready{fd.get(), POLLIN, 0};
  while (!text.ends_with(end) && ::poll(&ready, 1, 5000) == 1) {
    char more[4096];
    const auto count = ::read(fd.get(), more, sizeof more);
    if (count <= 0) break;
    text.append(more, static_cast<std::size_t>(count));
  }
  return text;
}

/// Writes like a guest that obeys the channel but never waits: the longest that one write took, in seconds.
inline double flood(chardev::ByteChannel& channel, std::size_t size) {
  double longest = 0;
  const std::string block(1000, 'x');
  for (std::size_t sent = 0; sent < size; sent += block.size()) {
    const auto begin = std::chrono::steady_clock::now();
    channel.write(bytes(block));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    longest = std::max(longest, took.count());
  }
  return longest;
}

}  // namespace vireo::test
