#include "net/vsock/unix_streams.h"

#include <array>
#include <charconv>

#include "base/log.h"

namespace vireo::net {
namespace {

constexpr std::string_view kConnect = "CONNECT ";
constexpr std::size_t kLongestLine = kConnect.size() + 11;

/// "CONNECT 1234"
std::optional<u32> port_in(std::string_view line) {
  if (!line.starts_with(kConnect)) return std::nullopt;
  line.remove_prefix(kConnect.size());
  u32 port = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), port);
  if (error != std::errc() || end != line.data() + line.size()) return std::nullopt;
  return port;
}

}  // namespace

class UnixStreams::UnixStream final : public Stream {
 public:
  /// One that has come, or the answer to a question.
  UnixStream(UnixStreams& owner, host::Fd socket) : owner_(owner) { come(std::move(socket)); }
  UnixStream(UnixStreams& owner, u32 question) : owner_(owner), question_(question) {}
  ~UnixStream() override {
    if (state_ == State::Coming) owner_.coming_.erase(question_);
  }

  void come(host::Fd socket) {
    state_ = State::There;
    socket_ = std::move(socket);
    // The port may destroy this object, so nothing of it is used after the call.
    watcher_ = owner_.loop_.watch(socket_.get(), [this](u32 events) {
      may_read_ |= (events & ~u32{EPOLLOUT}) != 0;
      may_write_ |= (events & ~u32{EPOLLIN}) != 0;
      owner_.serve();
    });
  }
  void refuse() { state_ = State::Refused; }

  State state() const override { return state_; }
  void confirm(u32 host_port) override {
    const auto line = fmt::format("OK {}\n", host_port);
    host::send(socket_, {reinterpret_cast<const u8*>(line.data()), line.size()});  // nothing was sent before: it fits
  }
  bool may_read() const override { return may_read_; }
  bool may_write() const override { return may_write_; }
  Moved read(std::span<u8> to) override {
    const auto moved = host::receive(socket_, to);
    may_read_ = moved.count != 0;
    return {moved.count, moved.ended};
  }
  Moved write(std::span<const u8> from) override {
    const auto moved = host::send(socket_, from);
    may_write_ = moved.count == from.size();
    return {moved.count, moved.ended};
  }
  void end_writing() override { host::end_sending(socket_); }
  bool gone() const override { return host::peer_is_gone(socket_); }
  void wait_for(bool input, bool space) override {
    if (!watcher_) return;
    if (!watcher_->set_events((input ? u32{EPOLLIN} : 0) | (space ? u32{EPOLLOUT} : 0))) {
      log::warning("a vsock connection is not heard of any more: the host has no memory for it");
    }
  }

 private:
  UnixStreams& owner_;
  const u32 question_ = 0;
  State state_ = State::Coming;
  host::Fd socket_;
  bool may_read_ = true, may_write_ = true;
  std::unique_ptr<host::Loop::Watcher> watcher_;
};

Result<std::unique_ptr<UnixStreams>> UnixStreams::create(host::Loop& loop, const std::string& path) {
  TRY_ASSIGN(auto connector, host::Connector::create(path + "_"));
  TRY_ASSIGN(auto listener, host::UnixListener::create(path));
  std::unique_ptr<UnixStreams> streams(new UnixStreams(loop, std::move(listener), std::move(connector)));
  TRY(streams->listening_->set_events(EPOLLIN));
  TRY(streams->answers_->set_events(EPOLLIN));
  return streams;
}

UnixStreams::UnixStreams(host::Loop& loop, host::UnixListener listener, host::Connector connector)
    : loop_(loop),
      listener_(std::move(listener)),
      connector_(std::move(connector)),
      listening_(loop.watch(listener_.fd().get(), [this](u32) { accept(); })),
      answers_(loop.watch(connector_.fd().get(), [this](u32) { take_answers(); })),
      wake_(loop.make_timer([this] { serve(); })) {}

UnixStreams::~UnixStreams() = default;

void UnixStreams::serve() {
  if (port_ != nullptr) port_->serve();
}

// ---- From the host

void UnixStreams::accept() {
  host::Fd socket = listener_.accept();
  if (!socket) return;
  const auto caller = callers_.emplace(callers_.end());
  caller->socket = std::move(socket);
  caller->watcher = loop_.watch(caller->socket.get(), [this, caller](u32) { hear(caller); });
  const bool heard = caller->watcher->set_events(EPOLLIN).has_value();
  if (!heard) callers_.erase(caller);
  if (callers_.size() >= kMaxCallers) static_cast<void>(listening_->set_events(0));
}

// Byte by byte: what is behind the line belongs to the stream.
void UnixStreams::hear(std::list<Caller>::iterator caller) {
  while (true) {
    std::array<u8, 1> byte;
    const auto moved = host::receive(caller->socket, byte);
    if (moved.count == 0 && !moved.ended) return;
    if (moved.count != 0 && byte[0] != '\n' && caller->said.size() < kLongestLine) {
      caller->said += static_cast<char>(byte[0]);
      continue;
    }
    const auto port = moved.count != 0 && byte[0] == '\n' ? port_in(caller->said) : std::nullopt;
    host::Fd socket = std::move(caller->socket);
    callers_.erase(caller);
    static_cast<void>(listening_->set_events(EPOLLIN));
    if (!port || port_ == nullptr) return;
    port_->incoming(*port, std::make_unique<UnixStream>(*this, std::move(socket)));
    return serve();
  }
}

// ---- From the guest

std::unique_ptr<Stream> UnixStreams::connect(u32 host_port) {
  while (coming_.contains(next_question_)) ++next_question_;
  const u32 question = next_question_++;
  if (!connector_.ask(question, host_port)) return nullptr;
  auto stream = std::make_unique<UnixStream>(*this, question);
  coming_[question] = stream.get();
  return stream;
}

void UnixStreams::take_answers() {
  bool any = false;
  while (auto answer = connector_.answer()) {
    const auto found = coming_.find(answer->id);
    if (found == coming_.end()) continue;  // the guest has given up meanwhile
    UnixStream& stream = *found->second;
    coming_.erase(found);
    answer->socket ? stream.come(std::move(answer->socket)) : stream.refuse();
    any = true;
  }
  if (any) return serve();
  // Readable without an answer: the helper is gone, and with it every way to the host.
  if (!host::peer_is_gone(connector_.fd())) return;
  static_cast<void>(answers_->set_events(0));
  for (const auto& [question, stream] : coming_) stream->refuse();
  coming_.clear();
  log::warning("the process that connects to sockets has ended: the guest's vsock reaches nobody any more");
  serve();
}

}  // namespace vireo::net
