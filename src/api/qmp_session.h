// One client's conversation: bytes in, lines out. Knows no socket.
//
// The first command must be qmp_capabilities; until then there are no events and no other commands. Out-of-band
// execution is not offered.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "api/json_splitter.h"
#include "api/qmp_commands.h"

namespace vireo::api {

class QmpSession {
 public:
  /// A client may pass descriptors before a command takes them: so many. What is more is closed.
  static constexpr std::size_t kMaxDescriptors = 16;

  /// Both outlive the session. `say` takes a line to be sent.
  QmpSession(const Commands& commands, std::string_view version, std::function<void(std::string)> say);

  /// What came from the client: reads until a command is complete and has been run and answered, or all of `bytes`.
  /// How many were read.
  std::size_t hear(std::span<const u8> bytes);
  /// Descriptors that came with what is heard next.
  void take(std::vector<host::Fd> descriptors);
  /// Tells of an event, if the client has got so far.
  void tell(const Json& event);

 private:
  void serve(std::string_view text, std::string_view error);
  Answer execute(const Json& message);
  Answer negotiate(const Json& arguments);

  const Commands& commands_;
  const std::function<void(std::string)> say_;
  JsonSplitter splitter_;
  std::vector<host::Fd> descriptors_;
  bool negotiated_ = false;
};

}  // namespace vireo::api
