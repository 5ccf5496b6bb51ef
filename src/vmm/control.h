// The control socket: programs connect to it and talk QMP (api/qmp.h) with the machine.
//
// Clients are many and independent. None of them can hold up the machine or make this process grow: a client's input is
// read a little at a time and only while it takes its answers, and one that lets events pile up is disconnected, so
// that it knows that it has missed some.
//
// Threads: all on the event loop's.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "api/qmp_session.h"
#include "host/loop.h"
#include "host/socket.h"

namespace vireo::vmm {

class Control {
 public:
  static constexpr std::size_t kMaxClients = 16;          ///< further ones wait until one leaves
  static constexpr std::size_t kAnswersAhead = 64'000;    ///< bytes not taken, above which no command is read
  static constexpr std::size_t kMaxOutput = 1024 * 1024;  ///< bytes not taken, above which an event disconnects

  /// Errors as of host::UnixListener.
  static Result<std::unique_ptr<Control>> create(host::Loop& loop, const std::string& path);

  /// What clients may say; to be filled before the loop runs.
  api::Commands& commands() { return commands_; }
  const host::UnixListener& listener() const { return listener_; }

  /// Tells every client.
  void announce(std::string_view event, api::Json data = api::Json::object());
  /// For the end of the process: what clients take at once of what there is left to tell them.
  void flush();

 private:
  struct Client {
    host::Fd socket;
    std::unique_ptr<api::QmpSession> session;
    std::unique_ptr<host::Loop::Watcher> watcher;
    std::vector<u8> input;  ///< read, not heard by the session yet
    std::string output;     ///< not taken by the socket yet
    bool input_ended = false;
    bool gone = false;
  };

  Control(host::Loop& loop, host::UnixListener listener);
  void accept();
  void serve(Client& client);
  void read_some(Client& client);
  static void write_some(Client& client);
  void wait_for_more(Client& client);
  void remove_gone();

  host::Loop& loop_;
  host::UnixListener listener_;
  api::Commands commands_;
  std::list<Client> clients_;
  std::unique_ptr<host::Loop::Watcher> watcher_;
};

}  // namespace vireo::vmm
