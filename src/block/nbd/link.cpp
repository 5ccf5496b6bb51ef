#include "block/nbd/link.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "host/loop.h"

namespace vireo::block::nbd {
namespace {

constexpr std::size_t kWire = 256 * kKiB;  ///< bytes of ciphertext that wait at most
constexpr std::size_t kPiece = 16 * kKiB;  ///< bytes, a record of TLS
constexpr std::size_t kReceive = 64 * kKiB;

}  // namespace

Result<Target> Target::find(const Uri& uri) {
  Target target{.uri = uri, .addresses = {}, .tls = {}};
  if (uri.socket.empty()) {
    TRY_ASSIGN(target.addresses, host::find_streams(uri.host, uri.port));
  } else {
    TRY_ASSIGN(auto address, host::unix_stream(uri.socket));
    target.addresses.push_back(address);
  }
  if (uri.tls) {
    TRY_ASSIGN(target.tls, TlsSettings::create(uri));
  }
  return target;
}

/// What waits, as connecting may.
class Link::Maker {
 public:
  Maker(const Target& target, const host::Wake& wake, u64 deadline_ns, const std::function<bool()>& give_up)
      : target_(target), wake_(wake), deadline_(deadline_ns), give_up_(give_up) {}
  Result<std::unique_ptr<Link>> make();

 private:
  Result<> connect(const host::StreamAddress& address);
  Result<> negotiate();
  Result<> shake_hands();
  Result<> wait(host::Readiness wanted);
  Result<> send_all(std::span<const u8> bytes);
  Result<> receive_some(std::vector<u8>& received);

  const Target& target_;
  const host::Wake& wake_;
  const u64 deadline_;
  const std::function<bool()>& give_up_;
  std::unique_ptr<Link> link_;
};

Result<> Link::Maker::wait(host::Readiness wanted) {
  for (;;) {
    const u64 now = host::Loop::now_ns();
    if (give_up_()) return fail(ErrorKind::Failed, "it is not needed any more");
    if (now >= deadline_) return fail(ErrorKind::Failed, "the server does not answer");
    const auto ready =
        host::sleep_on(link_->socket_, wanted, wake_, static_cast<int>((deadline_ - now) / 1'000'000 + 1));
    if ((wanted.read && ready.read) || (wanted.write && ready.write)) return {};
  }
}

Result<> Link::Maker::connect(const host::StreamAddress& address) {
  TRY_ASSIGN(link_->socket_, host::start_connecting(address));
  TRY(wait({.read = false, .write = true}));
  if (const int error = host::connection_error(link_->socket_); error != 0) {
    return fail_errno(error, "cannot connect");
  }
  return {};
}

Result<> Link::Maker::send_all(std::span<const u8> bytes) {
  while (!bytes.empty() || link_->has_unsent()) {
    const iovec piece{const_cast<u8*>(bytes.data()), bytes.size()};
    const auto moved = link_->send({&piece, bytes.empty() ? 0u : 1u});
    if (moved.ended) return fail(ErrorKind::Failed, "the server ends the connection");
    bytes = bytes.subspan(moved.count);
    if (!bytes.empty() || link_->has_unsent()) TRY(wait({.read = false, .write = true}));
  }
  return {};
}

Result<> Link::Maker::receive_some(std::vector<u8>& received) {
  std::array<u8, 4096> buffer;
  for (;;) {
    const auto moved = link_->receive(buffer);
    if (moved.ended) return fail(ErrorKind::Failed, "the server ends the connection");
    received.insert(received.end(), buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(moved.count));
    if (moved.count > 0) return {};
    TRY(wait({.read = true, .write = false}));
  }
}

Result<> Link::Maker::shake_hands() {
  TRY_ASSIGN(auto filter, TlsFilter::create(target_.tls));
  std::array<u8, 4096> buffer;
  for (;;) {
    const auto done = filter->handshake();
    // Also after an error: the server is told why.
    for (std::size_t count = 0; (count = filter->to_wire(buffer)) > 0;) {
      TRY(send_all(std::span(buffer).first(count)));
    }
    TRY(done);
    if (*done) break;
    std::vector<u8> received;
    TRY(receive_some(received));
    filter->from_wire(received);
  }
  link_->tls_ = std::move(filter);
  return {};
}

Result<> Link::Maker::negotiate() {
  Negotiation negotiation(target_.uri.export_name, target_.tls != nullptr);
  std::vector<u8> received;
  for (;;) {
    TRY_ASSIGN(const auto state, negotiation.feed(received));
    TRY(send_all(negotiation.take_output()));
    if (state == Negotiation::State::Done) break;
    if (state == Negotiation::State::Secure) {
      TRY(shake_hands());
      negotiation.secured();
    } else {
      TRY(receive_some(received));
    }
  }
  link_->about_ = negotiation.found();
  link_->early_ = std::move(received);
  return {};
}

Result<std::unique_ptr<Link>> Link::Maker::make() {
  Error error{ErrorKind::NotFound, "it has no address"};
  for (const auto& address : target_.addresses) {
    link_.reset(new Link());
    auto connected = connect(address);
    // Another address is tried for one that does not answer, not for a server that refuses.
    if (connected) {
      connected = negotiate();
      if (connected) return std::move(link_);
      error = std::move(connected.error());
      break;
    }
    error = std::move(connected.error());
  }
  return fail(error.kind, "{}: {}", target_.uri.text, error.message);
}

Result<std::unique_ptr<Link>> Link::connect(const Target& target, const host::Wake& wake, u64 deadline_ns,
                                            const std::function<bool()>& give_up) {
  return Maker(target, wake, deadline_ns, give_up).make();
}

/// False: the connection is over.
bool Link::empty_wire() {
  while (has_unsent()) {
    const iovec piece{wire_.data() + sent_, wire_.size() - sent_};
    const auto moved = host::send(socket_, {&piece, 1});
    if (moved.ended) return false;
    if (moved.count == 0) return true;
    sent_ += moved.count;
  }
  wire_.clear();
  sent_ = 0;
  return true;
}

host::Moved Link::send_by_tls(std::span<const iovec> pieces) {
  host::Moved moved;
  for (const auto& piece : pieces) {
    const std::span bytes(static_cast<const u8*>(piece.iov_base), piece.iov_len);
    for (std::size_t at = 0; at < bytes.size() && wire_.size() < kWire;) {
      const auto taken = tls_->write(bytes.subspan(at, std::min(kPiece, bytes.size() - at)));
      if (taken.ended) return {.count = moved.count, .ended = true};
      if (taken.count == 0) return moved;
      at += taken.count;
      moved.count += taken.count;
      const auto end = wire_.size();
      wire_.resize(end + 2 * kPiece);
      wire_.resize(end + tls_->to_wire(std::span(wire_).subspan(end)));
    }
    if (wire_.size() >= kWire) break;
  }
  moved.ended = !empty_wire();
  return moved;
}

/// TLS has answers of its own, such as to new keys. False: the server wants more of them than it takes.
bool Link::take_answers() {
  std::array<u8, 4096> piece;
  while (const auto count = tls_->to_wire(piece)) {
    if (wire_.size() >= 2 * kWire) return false;
    wire_.insert(wire_.end(), piece.begin(), piece.begin() + static_cast<std::ptrdiff_t>(count));
  }
  return true;
}

host::Moved Link::send(std::span<const iovec> pieces) {
  if (tls_) return send_by_tls(pieces);
  if (pieces.empty()) return {};
  return host::send(socket_, pieces);
}

host::Moved Link::receive(std::span<u8> bytes) {
  if (!early_.empty()) {
    const auto count = std::min(bytes.size(), early_.size());
    std::memcpy(bytes.data(), early_.data(), count);
    early_.erase(early_.begin(), early_.begin() + static_cast<std::ptrdiff_t>(count));
    return {.count = count, .ended = false};
  }
  if (!tls_) return host::receive(socket_, bytes);
  auto passed = tls_->read(bytes);
  if (passed.count == 0 && !passed.ended) {
    std::array<u8, kReceive> wire;
    const auto moved = host::receive(socket_, wire);
    if (moved.count == 0) return moved;
    tls_->from_wire(std::span(wire).first(moved.count));
    passed = tls_->read(bytes);
    if (!take_answers()) return {.count = passed.count, .ended = true};
  }
  return {.count = passed.count, .ended = passed.ended};
}

}  // namespace vireo::block::nbd
