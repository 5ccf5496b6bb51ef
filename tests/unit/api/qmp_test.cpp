#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/qmp_session.h"

namespace vireo::api {
namespace {

std::span<const u8> bytes(std::string_view text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }

/// What a splitter makes of a text that arrives in pieces of some size: values, and errors in angle brackets.
std::vector<std::string> split(std::string_view text, std::size_t piece) {
  JsonSplitter splitter;
  std::vector<std::string> values;
  for (std::size_t at = 0; at < text.size();) {
    at += splitter.feed(bytes(text.substr(at, piece)), [&](std::string_view value, std::string_view error) {
      values.push_back(error.empty() ? std::string(value) : fmt::format("<{}>", error));
    });
  }
  return values;
}

TEST(JsonSplitter, FindsTheSameValuesHoweverTheBytesArrive) {
  const std::string text = R"({"a": [1, "}\"{"]}{"b":"\\"} [1,2]5 "x y" tru{}}])";
  const std::vector<std::string> values = {
      R"({"a": [1, "}\"{"]})", R"({"b":"\\"})", "[1,2]", "5", R"("x y")", "tru", "{}", "}", "]"};
  for (const std::size_t piece : {1u, 2u, 3u, 7u, 100u}) EXPECT_EQ(split(text, piece), values) << piece;
}

TEST(JsonSplitter, ReadsOneValueAtATime) {
  JsonSplitter splitter;
  EXPECT_EQ(splitter.feed(bytes("{}{}"), [](auto, auto) {}), 2u);
}

TEST(JsonSplitter, SkipsWhatIsTooLongAndGoesOn) {
  std::string text = "[\"" + std::string(JsonSplitter::kMaxValue, 'x') + "\"]{}";
  EXPECT_EQ(split(text, 4096), (std::vector<std::string>{"<the value is too long>", "{}"}));
}

TEST(JsonSplitter, SkipsWhatIsNestedTooDeeplyAndGoesOn) {
  const std::string fits = std::string(JsonSplitter::kMaxDepth, '[') + std::string(JsonSplitter::kMaxDepth, ']');
  EXPECT_EQ(split(fits + "[" + fits + "]{}", 10),
            (std::vector<std::string>{fits, "<the value is nested too deeply>", "{}"}));
}

TEST(JsonSplitter, BeginsAnewAtAByteOf255) {
  EXPECT_EQ(split("{\"a\": \"\xFF{}\xFF{}", 3), (std::vector<std::string>{"<the value was cut off>", "{}", "{}"}));
}

struct Session : testing::Test {
  Commands commands;
  std::vector<Json> lines;
  QmpSession session{commands, "1.2.3", [this](std::string line) { lines.push_back(Json::parse(line)); }};
  std::vector<std::string> seen;

  Session() {
    commands.add({"note",
                  {{"text", Parameter::Type::String, true},
                   {"count", Parameter::Type::Integer},
                   {"loud", Parameter::Type::Boolean}},
                  [this](const Arguments& arguments) -> Answer {
                    seen.push_back(fmt::format("{} {} {}", arguments.text("text"), arguments.integer("count", -1),
                                               arguments.flag("loud")));
                    return Json{{"noted", true}};
                  }});
    commands.add({"fail", {}, [](const Arguments&) -> Answer {
                    return std::unexpected(CommandError{ErrorClass::DeviceNotFound, "no such device"});
                  }});
    commands.add({"take", {}, [](const Arguments& arguments) -> Answer {
                    return Json{{"got", static_cast<bool>(arguments.take_descriptor())}};
                  }});
  }
  /// The answer to one message.
  Json ask(std::string_view text) {
    lines.clear();
    for (std::size_t at = 0; at < text.size();) at += session.hear(bytes(text.substr(at)));
    return lines.size() == 1 ? lines[0] : Json(lines);
  }
  void negotiate() { EXPECT_EQ(ask(R"({"execute": "qmp_capabilities"})"), Json::parse(R"({"return": {}})")); }
  static Json error(const char* error_class, std::string description) {
    return {{"error", {{"class", error_class}, {"desc", std::move(description)}}}};
  }
};

TEST_F(Session, GreetsWithItsVersion) {
  EXPECT_EQ(lines.at(0), Json::parse(R"({"QMP": {"capabilities": [], "version":
      {"package": "vireo 1.2.3", "qemu": {"major": 1, "minor": 2, "micro": 3}}}})"));
}

TEST_F(Session, TakesNoCommandBeforeTheCapabilities) {
  EXPECT_EQ(ask(R"({"execute": "fail"})"),
            error("CommandNotFound", "Expecting capabilities negotiation with 'qmp_capabilities'"));
  negotiate();
  EXPECT_EQ(ask(R"({"execute": "qmp_capabilities"})"),
            error("CommandNotFound", "Capabilities negotiation is already complete, command ignored"));
}

TEST_F(Session, RefusesACapabilityThatItDoesNotOffer) {
  EXPECT_TRUE(ask(R"({"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}})").contains("error"));
  EXPECT_TRUE(ask(R"({"execute": "qmp_capabilities", "arguments": {"enable": []}})").contains("return"));
}

TEST_F(Session, TellsOfEventsOnceTheClientIsReady) {
  lines.clear();
  session.tell(make_event("STOP", {}));
  EXPECT_TRUE(lines.empty());
  negotiate();
  lines.clear();
  session.tell(make_event("RESET", {{"guest", true}}));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["event"], "RESET");
  EXPECT_EQ(lines[0]["data"], Json::parse(R"({"guest": true})"));
  EXPECT_GT(lines[0]["timestamp"]["seconds"], 1'700'000'000);
  EXPECT_LT(lines[0]["timestamp"]["microseconds"], 1'000'000);
}

TEST_F(Session, GivesEveryIdBackAsItCame) {
  negotiate();
  for (const char* id : {"1", "null", R"("x")", R"({"a": [1, {}]})", "18446744073709551615", "-1.5"}) {
    EXPECT_EQ(ask(fmt::format(R"({{"execute": "take", "id": {}}})", id))["id"], Json::parse(id));
    EXPECT_EQ(ask(fmt::format(R"({{"execute": "nothing", "id": {}}})", id))["id"], Json::parse(id));
  }
}

TEST_F(Session, ChecksArgumentsBeforeACommandRuns) {
  negotiate();
  EXPECT_EQ(ask(R"({"execute": "note"})"), error("GenericError", "Parameter 'text' is missing"));
  EXPECT_EQ(ask(R"({"execute": "note", "arguments": {"text": 1}})"),
            error("GenericError", "Invalid parameter type for 'text', expected: string"));
  EXPECT_EQ(ask(R"({"execute": "note", "arguments": {"text": "", "count": 1.5}})"),
            error("GenericError", "Invalid parameter type for 'count', expected: integer"));
  EXPECT_EQ(ask(R"({"execute": "note", "arguments": {"text": "", "count": 18446744073709551615}})"),
            error("GenericError", "Invalid parameter type for 'count', expected: integer"));
  EXPECT_EQ(ask(R"({"execute": "note", "arguments": {"text": "", "other": 1}})"),
            error("GenericError", "Parameter 'other' is unexpected"));
  EXPECT_TRUE(seen.empty());
  EXPECT_TRUE(ask(R"({"execute": "note", "arguments": {"text": "hi", "count": -3, "loud": true}})").contains("return"));
  EXPECT_EQ(seen, std::vector<std::string>{"hi -3 true"});
}

TEST_F(Session, NamesTheClassOfAnError) {
  negotiate();
  EXPECT_EQ(ask(R"({"execute": "fail"})"), error("DeviceNotFound", "no such device"));
  EXPECT_EQ(ask(R"({"execute": "nope"})"), error("CommandNotFound", "The command nope has not been found"));
}

TEST_F(Session, SaysWhatIsWrongAboutAMessage) {
  negotiate();
  EXPECT_EQ(ask("[1]"), error("GenericError", "QMP input must be a JSON object"));
  EXPECT_EQ(ask("{}"), error("GenericError", "QMP input lacks member 'execute'"));
  EXPECT_EQ(ask(R"({"execute": 5})"), error("GenericError", "QMP input member 'execute' must be a string"));
  EXPECT_EQ(ask(R"({"execute": "take", "arguments": []})"),
            error("GenericError", "QMP input member 'arguments' must be an object"));
  EXPECT_EQ(ask(R"({"execute": "take", "exec": 1})"), error("GenericError", "QMP input member 'exec' is unexpected"));
  EXPECT_EQ(ask(R"({"execute" "take"})")["error"]["class"], "GenericError");
  EXPECT_EQ(ask("{\"execute\": \"\xC3\"}")["error"]["class"], "GenericError");
}

TEST_F(Session, ListsItsCommands) {
  negotiate();
  std::vector<std::string> names;
  const auto answer = ask(R"({"execute": "query-commands"})");
  for (const auto& entry : answer["return"]) names.push_back(entry["name"]);
  EXPECT_EQ(names, (std::vector<std::string>{"fail", "note", "take", "qmp_capabilities", "query-commands"}));
}

TEST_F(Session, HandsPassedDescriptorsToCommandsAndKeepsAFew) {
  negotiate();
  EXPECT_EQ(ask(R"({"execute": "take"})")["return"]["got"], false);
  const auto pair = [] {
    int ends[2];
    EXPECT_EQ(::pipe(ends), 0);
    return std::pair(host::Fd(ends[0]), host::Fd(ends[1]));
  };
  std::vector<host::Fd> readers;
  for (std::size_t i = 0; i < QmpSession::kMaxDescriptors + 1; ++i) {
    auto [reader, writer] = pair();
    std::vector<host::Fd> one;
    one.push_back(std::move(writer));
    session.take(std::move(one));
    readers.push_back(std::move(reader));
  }
  char byte = 0;
  EXPECT_EQ(::read(readers.back().get(), &byte, 1), 0) << "the last one is closed";
  for (std::size_t i = 0; i < QmpSession::kMaxDescriptors; ++i) {
    EXPECT_EQ(ask(R"({"execute": "take"})")["return"]["got"], true);
  }
  EXPECT_EQ(ask(R"({"execute": "take"})")["return"]["got"], false);
}

TEST(Qmp, LinesAreAsciiWhateverAStringHolds) {
  EXPECT_EQ(as_line(Json{{"a", "\xFF\xC3\xA4\n"}}), "{\"a\":\"\\ufffd\\u00e4\\n\"}\r\n");
}

}  // namespace
}  // namespace vireo::api
