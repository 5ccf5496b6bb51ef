// The commands that a machine understands: a table of names, what arguments each takes, and what it does.
//
// Arguments are checked against the table before a command runs, so what it reads is there and has its type. Commands
// run on the event loop's thread, one after the other, and must not wait for a client.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "api/qmp.h"
#include "host/fd.h"

namespace vireo::api {

struct Parameter {
  enum class Type : u8 { String, Integer, Boolean, Array };
  const char* name;
  Type type;
  bool required = false;
};

/// The arguments of one call, checked.
class Arguments {
 public:
  /// `descriptors`: what the client has passed and no command has taken yet.
  Arguments(const Json& object, std::vector<host::Fd>& descriptors) : object_(object), descriptors_(descriptors) {}

  bool has(const char* name) const { return object_.contains(name); }
  std::string text(const char* name, const std::string& fallback = {}) const { return object_.value(name, fallback); }
  i64 integer(const char* name, i64 fallback = 0) const { return object_.value(name, fallback); }
  bool flag(const char* name, bool fallback = false) const { return object_.value(name, fallback); }
  /// The oldest descriptor that came with the connection's messages; empty when none is left.
  host::Fd take_descriptor() const;
  const Json& object() const { return object_; }

 private:
  const Json& object_;
  std::vector<host::Fd>& descriptors_;
};

struct Command {
  std::string name;
  std::vector<Parameter> parameters;
  std::function<Answer(const Arguments& arguments)> run;
  bool open = false;  ///< takes any other arguments as well, and checks them itself
};

class Commands {
 public:
  void add(Command command);
  std::vector<std::string> names() const;

  /// Checks and runs it. `arguments` is an object.
  Answer run(const std::string& name, const Json& arguments, std::vector<host::Fd>& descriptors) const;

 private:
  std::map<std::string, Command> commands_;
};

/// GenericError when `object` has a member that is unknown, misses one, or has one of another type.
/// `open`: what is unknown is left alone.
std::optional<CommandError> check_arguments(const std::vector<Parameter>& parameters, const Json& object,
                                            bool open = false);

}  // namespace vireo::api
