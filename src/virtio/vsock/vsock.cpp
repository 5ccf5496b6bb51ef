#include "virtio/vsock/vsock.h"

#include <algorithm>

#include "base/bytes.h"

namespace vireo::virtio {

using namespace vsock;

namespace {

struct State {
  bool tell_reset = false;
  static constexpr u16 kVersion = 1;
};
void fields(vm::Archive& ar, State& s) {
  auto& [tell_reset] = s;
  ar(tell_reset);
}

}  // namespace

void Vsock::attach(Host& host) {
  Device::attach(host);
  backend_.attach(*this);
}

void Vsock::notify(unsigned) { backend_.wake(); }

void Vsock::serve() {
  const std::lock_guard lock(mutex_);
  gone_.clear();
  gone_lingering_.clear();
  bool more = take_packets();
  const bool blocked = replies_.size() >= kMaxReplies;
  advance();
  more |= send_packets();
  more |= blocked && replies_.size() < kMaxReplies;
  for (auto& [key, connection] : connections_) connection.wait(guest_has_buffers_);
  for (auto& connection : lingering_) connection.wait(false);
  tell_events();
  if (more) backend_.wake();
}

void Vsock::incoming(u32 guest_port, std::unique_ptr<vireo::net::Stream> stream) {
  const std::lock_guard lock(mutex_);
  if (full() || !host().queue(rx).attached()) return;
  Key key{.guest_port = guest_port};
  do {
    key.host_port = next_host_port_++;
    if (next_host_port_ == ~u32{0}) next_host_port_ = kFirstHostPort;
  } while (connections_.contains(key));
  connections_.try_emplace(key, Connection::Phase::Asking, std::move(stream));
}

// ---- From the guest

bool Vsock::take_packets() {
  Queue& queue = host().queue(tx);
  const std::lock_guard lock(queue.mutex());
  queue.disable_notifications();
  for (unsigned left = queue.size(); left != 0 && replies_.size() < kMaxReplies; --left) {
    if (queue.pop(taking_)) {
      take_packet(taking_);
      queue.push(taking_, 0);
    } else if (queue.enable_notifications()) {
      return false;
    } else {
      queue.disable_notifications();
    }
  }
  return replies_.size() < kMaxReplies && queue.size() != 0;  // or else when the guest has fetched some
}

void Vsock::take_packet(Chain& chain) {
  Header header;
  if (!chain.readable.take(&header, sizeof header)) return;
  if (header.src_cid != cid_ || header.dst_cid != kHostCid) return;
  const Key key{.guest_port = header.src_port, .host_port = header.dst_port};
  const auto at = connections_.find(key);
  if (header.type != TYPE_STREAM) return refuse(key);
  if (at != connections_.end()) return take_for(at, header, chain);
  if (header.op == OP_REQUEST) return request(key, header);
  if (header.op != OP_RST) refuse(key);
}

void Vsock::request(Key key, const Header& header) {
  if (full()) return refuse(key);
  auto stream = backend_.connect(key.host_port);
  if (!stream) return refuse(key);
  const auto at = connections_.try_emplace(key, Connection::Phase::Reaching, std::move(stream)).first;
  at->second.take_credit(header);
}

void Vsock::take_for(Connections::iterator at, const Header& header, Chain& chain) {
  auto& connection = at->second;
  connection.take_credit(header);
  switch (header.op) {
    case OP_RESPONSE:
      if (!connection.accepted(at->first.host_port)) remove(at);
      return;
    case OP_RST:
      return let_go(at);
    case OP_SHUTDOWN:
      return connection.shut_down(header.flags);
    case OP_RW: {
      if (header.len > chain.readable.size() || !connection.may_take(header.len)) return remove(at);
      for (u64 left = header.len; left != 0;) {
        const u64 count = std::min<u64>(left, data_.size());
        chain.readable.take(data_.data(), count);
        connection.take(std::span(data_).first(count));
        left -= count;
      }
      return;
    }
    case OP_CREDIT_UPDATE:
      return;
    case OP_CREDIT_REQUEST:
      return connection.want_credit();
    default:
      return remove(at);
  }
}

void Vsock::refuse(Key key) { replies_.push_back(key); }

/// The connection is over, and the guest has to hear of it.
void Vsock::remove(Connections::iterator at) {
  refuse(at->first);
  connections_.erase(at);
}

/// The guest knows it no more. If it left in order, the host still gets what it sent.
void Vsock::let_go(Connections::iterator at) {
  auto& connection = at->second;
  if (connection.guest_has_left() && !connection.finish()) lingering_.push_back(std::move(connection));
  connections_.erase(at);
}

void Vsock::advance() {
  for (auto at = connections_.begin(); at != connections_.end();) {
    const auto now = at++;
    if (now->second.advance() != Connection::Turn::GoesOn) remove(now);
  }
  std::erase_if(lingering_, [](Connection& connection) { return connection.finish(); });
}

// ---- To the guest

bool Vsock::put_packet(Key key, Header header, std::span<const u8> data) {
  header.src_cid = kHostCid;
  header.dst_cid = cid_;
  header.src_port = key.host_port;
  header.dst_port = key.guest_port;
  header.type = TYPE_STREAM;
  auto& memory = host().memory();
  return sending_.writable.put(memory, &header, sizeof header) &&
         sending_.writable.put(memory, data.data(), data.size());
}

// Turn by turn: replies, then one packet of each connection that has one. True: there is more, and nobody will say so.
bool Vsock::send_packets() {
  std::vector<Connections::iterator> ready;
  for (auto at = connections_.begin(); at != connections_.end(); ++at) {
    if (at->second.has_something()) ready.push_back(at);
  }
  Queue& queue = host().queue(rx);
  const std::lock_guard lock(queue.mutex());
  queue.disable_notifications();
  guest_has_buffers_ = true;
  std::size_t turn = 0;
  for (unsigned left = queue.size(); left != 0;) {
    if (replies_.empty() && ready.empty()) return false;
    if (!queue.pop(sending_)) {
      guest_has_buffers_ = !queue.enable_notifications();
      if (!guest_has_buffers_) return false;
      queue.disable_notifications();
      continue;
    }
    const u64 space = sending_.writable.size();
    if (space < kHeaderSize) {
      queue.push(sending_, 0);
      --left;
      continue;
    }
    Header header;
    if (!replies_.empty()) {
      header.op = OP_RST;
      put_packet(replies_.front(), header, {});
      replies_.pop_front();
      queue.push(sending_, static_cast<u32>(kHeaderSize));
      --left;
      continue;
    }
    turn %= ready.size();
    auto& [key, connection] = *ready[turn];
    const auto data = std::span(data_).first(std::min<u64>(data_.size(), space - kHeaderSize));
    if (connection.next(header, data)) {
      put_packet(key, header, std::span(data_).first(header.len));
      queue.push(sending_, static_cast<u32>(kHeaderSize + header.len));
      --left;
    } else if (data.empty()) {  // too small for what there is
      queue.push(sending_, 0);
      --left;
    } else {
      queue.undo(sending_);
    }
    if (connection.has_something()) {
      ++turn;
    } else {
      ready.erase(ready.begin() + static_cast<std::ptrdiff_t>(turn));
    }
  }
  return queue.size() != 0;
}

void Vsock::tell_events() {
  Queue& queue = host().queue(event);
  const std::lock_guard lock(queue.mutex());
  queue.disable_notifications();
  while (tell_reset_) {
    if (queue.pop(telling_)) {
      const u32 id = EVENT_TRANSPORT_RESET;
      const u64 count = std::min<u64>(sizeof id, telling_.writable.size());
      telling_.writable.put(host().memory(), &id, count);
      queue.push(telling_, static_cast<u32>(count));
      tell_reset_ = false;
    } else if (queue.enable_notifications()) {
      return;
    } else {
      queue.disable_notifications();
    }
  }
}

// ---- Configuration and state

void Vsock::read_config(u32 offset, std::span<u8> to) {
  std::array<u8, config::kSize> image{};
  store(&image[config::guest_cid], u64{cid_});
  std::copy_n(image.begin() + offset, to.size(), to.begin());
}

void Vsock::reset() {
  {
    const std::lock_guard lock(mutex_);
    gone_.merge(connections_);
    // Those of the same ports as some that wait already to be destroyed.
    for (auto& [key, connection] : connections_) gone_lingering_.push_back(std::move(connection));
    connections_.clear();
    for (auto& connection : lingering_) gone_lingering_.push_back(std::move(connection));
    lingering_.clear();
    replies_.clear();
    tell_reset_ = false;
  }
  backend_.wake();
}

std::vector<u8> Vsock::save() const {
  const std::lock_guard lock(mutex_);
  return vm::save_fields("", State{tell_reset_}).bytes;
}

Result<> Vsock::load(std::span<const u8> saved) {
  State state;
  TRY(vm::load_fields({.name = "vsock", .version = State::kVersion, .bytes = {saved.begin(), saved.end()}}, state));
  const std::lock_guard lock(mutex_);
  tell_reset_ = true;
  return {};
}

}  // namespace vireo::virtio
