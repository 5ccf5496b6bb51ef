// Another process that serves requests, as a device sees it: it keeps them until a test answers.
#pragma once

#include <deque>
#include <vector>

#include "vhost/api/backend.h"

namespace vireo::test {

class FakeVhost final : public vhost::Backend {
 public:
  struct Taken {
    u16 ticket = 0;
    unsigned queue = 0;
    std::vector<iovec> readable, writable;
  };

  void attach(vhost::Port& port) override { port_ = &port; }
  void detach() override { port_ = nullptr; }
  std::optional<u16> submit(unsigned queue, std::span<const iovec> readable, std::span<const iovec> writable) override {
    if (is_lost || taken.size() >= room) return std::nullopt;
    u16 ticket = next_++ % kSize;
    while (busy_[ticket]) ticket = next_++ % kSize;
    busy_[ticket] = true;
    taken.push_back({ticket, queue, {readable.begin(), readable.end()}, {writable.begin(), writable.end()}});
    return ticket;
  }
  void kick(unsigned) override { ++kicks; }
  std::optional<Done> take_done(unsigned queue) override {
    if (is_lost || done_[queue].empty()) return std::nullopt;
    const Done done = done_[queue].front();
    done_[queue].pop_front();
    return done;
  }
  /// While somebody waits all is answered; or the process is given up.
  void wait(unsigned) override {
    ++waits;
    if (hangs) is_lost = true;
    while (!is_lost && !taken.empty()) finish(0);
  }
  bool lost() const override { return is_lost; }
  std::span<u8> scratch() override { return scratch_; }

  /// The request at that place is done, whose writable bytes are `fill` then; nobody is told.
  void finish(std::size_t index, u32 written = 0, u8 fill = 0) {
    const auto request = taken[index];
    taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(index));
    u32 left = written;
    for (const auto& piece : request.writable) {
      for (std::size_t i = 0; i < piece.iov_len && left != 0; ++i, --left) static_cast<u8*>(piece.iov_base)[i] = fill;
    }
    busy_[request.ticket] = false;
    done_[request.queue].push_back({.ticket = request.ticket, .written = written - left});
  }
  void tell(unsigned queue) { port_->done(queue); }
  void lose() {
    is_lost = true;
    port_->lost();
  }

  std::deque<Taken> taken;
  std::size_t room = kSize;
  unsigned kicks = 0, waits = 0;
  bool is_lost = false, hangs = false;

 private:
  vhost::Port* port_ = nullptr;
  u16 next_ = 0;
  std::vector<bool> busy_ = std::vector<bool>(kSize);
  std::deque<Done> done_[2];
  std::vector<u8> scratch_ = std::vector<u8>(4096);
};

}  // namespace vireo::test
