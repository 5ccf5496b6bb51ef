// A hostile NBD server: its side of the negotiation, and replies to requests that are under way. The first byte says
// which, and whether replies may be structured; the second how what follows is cut into pieces.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <vector>

#include "block/nbd/negotiation.h"
#include "block/nbd/replies.h"

namespace {

using namespace vireo;
using namespace vireo::block::nbd;

void negotiate(bool tls, std::size_t step, std::span<const u8> bytes) {
  Negotiation negotiation("disk", tls);
  std::vector<u8> received;
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(step, bytes.size()));
    bytes = bytes.subspan(piece.size());
    received.insert(received.end(), piece.begin(), piece.end());
    const auto state = negotiation.feed(received);
    (void)negotiation.take_output();
    if (!state) return;
    if (*state == Negotiation::State::Secure) negotiation.secured();
    if (*state != Negotiation::State::Done) continue;
    const auto& found = negotiation.found();
    if (found.minimum_block == 0 || found.maximum_payload < found.minimum_block ||
        found.maximum_payload % found.minimum_block != 0) {
      std::abort();
    }
    return;
  }
}

/// Eight requests, whose cookies are 0 to 7; their memory is as small as can be, so that a step beyond is seen.
class Requests final : public Replies::Requests {
 public:
  Requests() {
    constexpr std::array kCommands = {NBD_CMD_READ, NBD_CMD_WRITE, NBD_CMD_FLUSH, NBD_CMD_READ};
    for (u32 i = 0; i < all_.size(); ++i) {
      auto& request = all_[i];
      request.first.resize(i);
      request.second.resize(40 - i);
      request.pieces = {iovec{request.first.data(), request.first.size()},
                        iovec{request.second.data(), request.second.size()}};
      request.awaited.command = kCommands[i % kCommands.size()];
      request.awaited.offset = i * 40;
      request.awaited.length = 40;
      if (request.awaited.command == NBD_CMD_READ) request.awaited.memory = request.pieces;
    }
  }
  Awaited* find(u64 cookie) override {
    return cookie < all_.size() && !all_[cookie].replied ? &all_[cookie].awaited : nullptr;
  }
  void replied(u64 cookie) override {
    auto& request = all_[cookie];
    const auto& awaited = request.awaited;
    if (request.replied || awaited.received > awaited.length) std::abort();
    if (awaited.command == NBD_CMD_READ && awaited.error == 0 && awaited.received != awaited.length) std::abort();
    request.replied = true;
    // As the client does: nobody may write there any more.
    request.first = {};
    request.second = {};
  }

 private:
  struct One {
    Awaited awaited;
    std::vector<u8> first, second;
    std::array<iovec, 2> pieces{};
    bool replied = false;
  };
  std::array<One, 8> all_;
};

void reply(bool structured, std::size_t step, std::span<const u8> bytes) {
  Requests requests;
  Replies replies(requests, structured);
  while (!bytes.empty()) {
    const auto piece = bytes.first(std::min(step, bytes.size()));
    if (!replies.feed(piece)) return;
    bytes = bytes.subspan(piece.size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, std::size_t size) {
  if (size < 2) return 0;
  const bool flag = (data[0] & 1) != 0;
  const std::size_t step = std::size_t{data[1]} + 1;
  const std::span bytes(data + 2, size - 2);
  if ((data[0] & 2) != 0) {
    negotiate(flag, step, bytes);
  } else {
    reply(flag, step, bytes);
  }
  return 0;
}
