// Host ends of vsock connections that remember what is written, and give what a test wants.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "net/api/streams.h"

namespace vireo::test {

/// What a test keeps of a stream; it survives the stream.
struct StreamEnd {
  net::Stream::State state = net::Stream::State::There;
  std::string got;                     ///< written by the guest
  std::size_t room = ~std::size_t{0};  ///< that is left for it
  std::string input;                   ///< for the guest
  bool input_ends = false, all_gone = false, takes_nothing = false;
  bool ended = false, destroyed = false;  ///< by the device
  u32 confirmed = 0;
  bool waits_for_input = false, waits_for_space = false;
};

class FakeStream final : public net::Stream {
 public:
  explicit FakeStream(std::shared_ptr<StreamEnd> end) : end_(std::move(end)) {}
  ~FakeStream() override { end_->destroyed = true; }
  State state() const override { return end_->state; }
  void confirm(u32 host_port) override { end_->confirmed = host_port; }
  bool may_read() const override { return !end_->input.empty() || end_->input_ends; }
  bool may_write() const override { return end_->room != 0 || end_->takes_nothing; }
  Moved read(std::span<u8> to) override {
    const auto count = std::min(to.size(), end_->input.size());
    std::copy_n(end_->input.begin(), count, to.begin());
    end_->input.erase(0, count);
    return {count, count == 0 && end_->input_ends};
  }
  Moved write(std::span<const u8> from) override {
    if (end_->takes_nothing) return {0, true};
    const auto count = std::min(from.size(), end_->room);
    end_->got.append(from.begin(), from.begin() + static_cast<std::ptrdiff_t>(count));
    end_->room -= count;
    return {count, false};
  }
  void end_writing() override { end_->ended = true; }
  bool gone() const override { return end_->all_gone; }
  void wait_for(bool input, bool space) override {
    end_->waits_for_input = input;
    end_->waits_for_space = space;
  }

 private:
  const std::shared_ptr<StreamEnd> end_;
};

/// Has an end for each port that a test adds. Serves at once when it is woken, but not from within.
class FakeStreams final : public net::StreamBackend {
 public:
  void attach(net::StreamPort& port) override { port_ = &port; }
  void detach() override { port_ = nullptr; }
  std::unique_ptr<net::Stream> connect(u32 host_port) override {
    const auto found = ends.find(host_port);
    return found == ends.end() ? nullptr : std::make_unique<FakeStream>(found->second);
  }
  void wake() override {
    again_ = true;
    if (serving_ || port_ == nullptr) return;
    serving_ = true;
    for (unsigned rounds = 0; again_ && rounds < 100; ++rounds) {
      again_ = false;
      port_->serve();
    }
    serving_ = false;
  }
  /// Somebody on the host connects to the guest.
  std::shared_ptr<StreamEnd> call(u32 guest_port) {
    auto end = std::make_shared<StreamEnd>();
    if (port_ == nullptr) return end;
    port_->incoming(guest_port, std::make_unique<FakeStream>(end));
    wake();
    return end;
  }
  std::shared_ptr<StreamEnd> add(u32 host_port) { return ends[host_port] = std::make_shared<StreamEnd>(); }

  std::map<u32, std::shared_ptr<StreamEnd>> ends;

 private:
  net::StreamPort* port_ = nullptr;
  bool again_ = false, serving_ = false;
};

}  // namespace vireo::test
