// A network that remembers what is sent, takes no more than it is told to, and delivers what a test wants.
#pragma once

#include <vector>

#include "net/api/backend.h"

namespace vireo::test {

class FakeBackend final : public net::Backend {
 public:
  explicit FakeBackend(unsigned pairs = 1) : pairs_(pairs) {}

  net::Offloads send_offloads() const override { return {.checksum = true, .tso4 = true, .tso6 = true, .ecn = true}; }
  unsigned pairs() const override { return pairs_; }
  void attach(net::Port& port) override { port_ = &port; }
  void detach() override { port_ = nullptr; }
  void set_receive_offloads(net::Offloads offloads) override { receive_offloads = offloads; }
  void use_pairs(unsigned count) override { used_pairs = count; }
  std::size_t send(unsigned pair, std::span<const net::Frame> frames) override {
    std::size_t taken = 0;
    for (; taken < frames.size() && room > 0; ++taken, --room) {
      std::vector<u8> bytes;
      for (const auto& part : frames[taken].parts) {
        const auto* at = static_cast<const u8*>(part.iov_base);
        bytes.insert(bytes.end(), at, at + part.iov_len);
      }
      sent.push_back({pair, frames[taken].header, std::move(bytes)});
    }
    return taken;
  }
  void wake() override { ++wakes; }
  bool link_up() const override { return up; }
  std::vector<u8> save() const override { return state; }
  Result<> load(std::span<const u8> bytes) override {
    state.assign(bytes.begin(), bytes.end());
    return {};
  }

  /// True: the guest took it.
  bool deliver(std::vector<u8> bytes, const net::VirtioNetHdr& header = {}, unsigned pair = 0) {
    if (port_ == nullptr) return true;
    // In two parts, as nobody promises one.
    const std::size_t half = bytes.size() / 2;
    const iovec parts[] = {{bytes.data(), half}, {bytes.data() + half, bytes.size() - half}};
    const net::Frame frame{header, parts, bytes.size()};
    return port_->receive(pair, {&frame, 1}) == 1;
  }
  net::Port& port() { return *port_; }

  struct Sent {
    unsigned pair;
    net::VirtioNetHdr header;
    std::vector<u8> bytes;
  };
  std::vector<Sent> sent;
  std::size_t room = ~std::size_t{0};
  unsigned wakes = 0, used_pairs = 1;
  net::Offloads receive_offloads;
  bool up = true;
  std::vector<u8> state;

 private:
  const unsigned pairs_;
  net::Port* port_ = nullptr;
};

}  // namespace vireo::test
