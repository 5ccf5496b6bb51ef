#include "vmm/control.h"

#include "base/log.h"

namespace vireo::vmm {
namespace {

constexpr std::size_t kReadAtOnce = 16 * 1024;

}  // namespace

Result<std::unique_ptr<Control>> Control::create(host::Loop& loop, const std::string& path) {
  TRY_ASSIGN(auto listener, host::UnixListener::create(path));
  std::unique_ptr<Control> control(new Control(loop, std::move(listener)));
  TRY(control->watcher_->set_events(EPOLLIN));
  return control;
}

Control::Control(host::Loop& loop, host::UnixListener listener)
    : loop_(loop),
      listener_(std::move(listener)),
      watcher_(loop.watch(listener_.fd().get(), [this](u32) { accept(); })) {}

void Control::accept() {
  host::Fd socket = listener_.accept();
  if (!socket) return;
  auto& client = clients_.emplace_back();
  client.socket = std::move(socket);
  client.session = std::make_unique<api::QmpSession>(commands_, VIREO_VERSION,
                                                     [&client](const std::string& line) { client.output += line; });
  client.watcher = loop_.watch(client.socket.get(), [this, &client](u32) { serve(client); });
  serve(client);
}

void Control::serve(Client& client) {
  write_some(client);
  read_some(client);
  write_some(client);
  wait_for_more(client);
  remove_gone();
}

void Control::read_some(Client& client) {
  if (client.input.empty() && !client.input_ended && client.output.size() < kAnswersAhead) {
    client.input.resize(kReadAtOnce);
    std::vector<host::Fd> passed;
    const auto got = host::receive(client.socket, client.input, passed);
    client.input.resize(got.count);
    client.input_ended = got.ended;
    client.session->take(std::move(passed));
  }
  std::size_t heard = 0;
  while (heard < client.input.size() && client.output.size() < kAnswersAhead && !client.gone) {
    heard += client.session->hear(std::span<const u8>(client.input).subspan(heard));
  }
  client.input.erase(client.input.begin(), client.input.begin() + static_cast<std::ptrdiff_t>(heard));
}

void Control::write_some(Client& client) {
  const std::span<const u8> bytes(reinterpret_cast<const u8*>(client.output.data()), client.output.size());
  if (bytes.empty()) return;
  const auto sent = host::send(client.socket, bytes);
  client.output.erase(0, sent.count);
  if (sent.ended) client.gone = true;
}

void Control::wait_for_more(Client& client) {
  // A client that says no more may still listen to its answers.
  if (client.input_ended && client.input.empty() && client.output.empty()) client.gone = true;
  if (client.gone) return;
  const bool may_talk = client.output.size() < kAnswersAhead && (!client.input_ended || !client.input.empty());
  // What was read already needs no readiness to be heard, but room: what is in the output comes first.
  const u32 events = (may_talk && client.input.empty() ? u32{EPOLLIN} : 0) |
                     (client.output.empty() && client.input.empty() ? 0 : u32{EPOLLOUT});
  if (!client.watcher->set_events(events)) client.gone = true;
}

void Control::remove_gone() {
  clients_.remove_if([](const Client& client) { return client.gone; });
  if (!watcher_->set_events(clients_.size() < kMaxClients ? u32{EPOLLIN} : 0)) {
    log::warning("the control socket takes no more clients");
  }
}

void Control::announce(std::string_view event, api::Json data) {
  const auto message = api::make_event(event, std::move(data));
  for (auto& client : clients_) {
    client.session->tell(message);
    if (client.output.size() > kMaxOutput) client.gone = true;
    if (client.gone) client.output.clear();
    // The loop sends it, or removes the client: this may be in the middle of one's command.
    if (client.gone || !client.watcher->set_events(EPOLLOUT)) {
      client.gone = true;
      loop_.post([this] { remove_gone(); });
    }
  }
}

void Control::flush() {
  for (auto& client : clients_) write_some(client);
}

}  // namespace vireo::vmm
