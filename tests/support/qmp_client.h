// A client of the control socket that waits for what it expects, ten seconds at most.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "host/fd.h"

namespace vireo::test {

class QmpClient {
 public:
  using Json = nlohmann::json;

  explicit QmpClient(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << path;
  }
  /// Greeting and capabilities.
  QmpClient& begin() {
    EXPECT_TRUE(hear().contains("QMP"));
    EXPECT_TRUE(ask("qmp_capabilities").contains("return"));
    return *this;
  }
  /// The next message; null when the connection has ended or nothing comes.
  Json hear() {
    for (;;) {
      if (const auto end = text_.find('\n'); end != text_.npos) {
        const auto line = text_.substr(0, end);
        text_.erase(0, end + 1);
        return Json::parse(line);
      }
      pollfd ready{socket_.get(), POLLIN, 0};
      char bytes[4096];
      if (::poll(&ready, 1, 10'000) != 1) return {};
      const auto count = ::recv(socket_.get(), bytes, sizeof bytes, 0);
      ended = count <= 0;
      if (ended) return {};
      text_.append(bytes, static_cast<std::size_t>(count));
    }
  }
  void say(const std::string& text) {
    EXPECT_EQ(::send(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  /// Says it with a copy of a descriptor.
  void say_with(const std::string& text, int fd) {
    iovec data{const_cast<char*>(text.data()), text.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    auto* part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
    EXPECT_EQ(::sendmsg(socket_.get(), &message, MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }
  /// The answer to a command; events before it are kept.
  Json ask(const std::string& command, const Json& arguments = Json::object()) {
    say(Json{{"execute", command}, {"arguments", arguments}}.dump());
    for (;;) {
      auto message = hear();
      if (!message.contains("event")) return message;
      events.push_back(message);
    }
  }
  /// The same, of which only what it returns counts.
  Json get(const std::string& command, const Json& arguments = Json::object()) {
    const auto answer = ask(command, arguments);
    EXPECT_TRUE(answer.contains("return")) << answer;
    return answer.value("return", Json());
  }
  /// Waits for an event, of those that were kept first.
  Json await(const std::string& event) {
    for (;;) {
      const auto message = events.empty() ? hear() : events.front();
      if (!events.empty()) events.erase(events.begin());
      if (message.is_null() || message.value("event", "") == event) return message;
    }
  }
  std::vector<std::string> event_names() const {
    std::vector<std::string> names;
    for (const auto& event : events) names.push_back(event["event"]);
    return names;
  }
  const host::Fd& socket() const { return socket_; }

  std::vector<Json> events;
  bool ended = false;

 private:
  host::Fd socket_;
  std::string text_;
};

}  // namespace vireo::test
