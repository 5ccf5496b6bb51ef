// Frames for tests, and a port that remembers what it was given.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "net/api/backend.h"
#include "net/offload/checksum.h"
#include "net/offload/packet.h"

namespace vireo::test {

using Bytes = std::vector<u8>;

struct Address {
  u32 ip;
  u16 port;
};

constexpr u32 ipv4(u8 a, u8 b, u8 c, u8 d) { return u32{a} << 24 | u32{b} << 16 | u32{c} << 8 | d; }

[[gnu::noinline]] inline Bytes operator+(const Bytes& left, const Bytes& right) {
  Bytes both;
  both.reserve(left.size() + right.size());
  both.insert(both.end(), left.begin(), left.end());
  both.insert(both.end(), right.begin(), right.end());
  return both;
}

inline Bytes ethernet(u16 type, const Bytes& payload) {
  const Bytes header = {
      0x52, 0x55, 10, 0, 2, 2, 0x52, 0x54, 0, 0x12, 0x34, 0x56, static_cast<u8>(type >> 8), static_cast<u8>(type)};
  return header + payload;
}

inline Bytes ipv4_frame(u8 protocol, u32 from, u32 to, const Bytes& payload) {
  Bytes packet(20);
  packet[0] = 0x45;
  net::put16(packet, 2, static_cast<u16>(20 + payload.size()));
  net::put16(packet, 4, 0x1234);
  packet[8] = 64;
  packet[9] = protocol;
  net::put32(packet, 12, from);
  net::put32(packet, 16, to);
  store(packet.data() + 10, static_cast<u16>(~net::internet_sum(packet)));
  return ethernet(0x0800, packet + payload);
}

inline Bytes ipv6_frame(u8 protocol, const Bytes& payload) {
  Bytes packet(40);
  packet[0] = 0x60;
  net::put16(packet, 4, static_cast<u16>(payload.size()));
  packet[6] = protocol;
  packet[7] = 64;
  packet[8] = 0xFE;
  packet[23] = 1;
  packet[24] = 0xFE;
  packet[39] = 2;
  return ethernet(0x86DD, packet + payload);
}

/// The checksum of TCP (at 16) or UDP (at 6) in a frame, over all of it.
inline void fill_checksum(Bytes& frame) {
  const auto ip = *net::find_ip(frame);
  const std::size_t field = ip.transport + (ip.protocol == net::kProtocolTcp ? 16 : 6);
  store<u16>(frame.data() + field, 0);
  const auto rest = std::span<const u8>(frame).subspan(ip.transport, ip.end - ip.transport);
  store(frame.data() + field,
        static_cast<u16>(~net::internet_sum(rest, net::pseudo_header_sum(frame, ip, rest.size()))));
}

inline bool checksum_is_right(const Bytes& frame) {
  const auto ip = net::find_ip(frame);
  if (!ip) return false;
  const auto rest = std::span<const u8>(frame).subspan(ip->transport, ip->end - ip->transport);
  const bool header = ip->v6 || net::internet_sum(std::span<const u8>(frame).subspan(ip->ip, 20)) == 0xFFFF;
  return header && net::internet_sum(rest, net::pseudo_header_sum(frame, *ip, rest.size())) == 0xFFFF;
}

inline Bytes tcp_header(u16 from, u16 to, u32 sequence, u32 acknowledged, u8 flags, const Bytes& options = {}) {
  Bytes header(20);
  net::put16(header, 0, from);
  net::put16(header, 2, to);
  net::put32(header, 4, sequence);
  net::put32(header, 8, acknowledged);
  header[12] = static_cast<u8>((20 + options.size()) / 4 << 4);
  header[13] = flags;
  net::put16(header, 14, 64240);
  return header + options;
}

inline Bytes udp_frame(Address from, Address to, const Bytes& payload) {
  Bytes datagram(8);
  net::put16(datagram, 0, from.port);
  net::put16(datagram, 2, to.port);
  net::put16(datagram, 4, static_cast<u16>(8 + payload.size()));
  auto frame = ipv4_frame(net::kProtocolUdp, from.ip, to.ip, datagram + payload);
  fill_checksum(frame);
  return frame;
}

/// A device whose guest takes `room` frames.
class FakePort final : public net::Port {
 public:
  struct Received {
    net::VirtioNetHdr header;
    Bytes bytes;
  };

  std::size_t receive(unsigned, std::span<const net::Frame> frames) override {
    const std::lock_guard lock(mutex_);
    std::size_t taken = 0;
    for (; taken < frames.size() && room > 0; ++taken, --room) {
      Bytes bytes;
      for (const auto& part : frames[taken].parts) {
        const auto* at = static_cast<const u8*>(part.iov_base);
        bytes.insert(bytes.end(), at, at + part.iov_len);
      }
      received.push_back({frames[taken].header, std::move(bytes)});
    }
    refused += frames.size() - taken;
    changed_.notify_all();
    return taken;
  }
  void serve() override {
    const std::lock_guard lock(mutex_);
    ++served;
    changed_.notify_all();
  }
  void link_changed(bool up) override {
    const std::lock_guard lock(mutex_);
    links.push_back(up);
    changed_.notify_all();
  }

  void give_room(std::size_t count) {
    const std::lock_guard lock(mutex_);
    room = count;
  }
  /// Waits up to 5 s for a frame of which `wanted` is true, and takes it and those before it away.
  template <class Wanted>
  std::optional<Received> wait_for(Wanted wanted) {
    std::optional<Received> found;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(5), [&] {
      while (!found && !received.empty()) {
        if (wanted(received.front())) found = std::move(received.front());
        received.pop_front();
      }
      return found.has_value();
    });
    return found;
  }
  /// Waits up to 5 s.
  template <class Condition>
  bool wait_until(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(5), condition);
  }

  std::size_t room = ~std::size_t{0};
  std::deque<Received> received;
  std::size_t refused = 0, served = 0;
  std::vector<bool> links;

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
};

inline std::size_t send(net::Backend& backend, Bytes bytes, const net::VirtioNetHdr& header = {}) {
  const iovec part{bytes.data(), bytes.size()};
  const net::Frame frame{header, {&part, 1}, bytes.size()};
  return backend.send(0, {&frame, 1});
}

}  // namespace vireo::test
