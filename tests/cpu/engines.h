// The engines the cases run on, each with what it needs around a TinyMachine.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "support/tiny_machine.h"

namespace vireo::test {

/// The vCPUs of one machine, in their start states, and whatever must live as long as they do.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::vector<vm::Vcpu*> vcpus() = 0;
};

/// `name` is interpret or kvm. The kind of the error tells a missing engine (NotFound, Denied) from a broken one.
Result<std::unique_ptr<Engine>> make_engine(std::string_view name, TinyMachine& machine, unsigned cpus);

}  // namespace vireo::test
