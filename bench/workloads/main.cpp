// vireo-bench: a fixed amount of work, timed, natively as in a guest. bench/run runs it in both and compares.
//
//   vireo-bench [--scale X] [NAME|CLASS...]     runs them (all), one line each: name seconds iterations checksum
//   vireo-bench --list                          one line each: class name
//   vireo-bench --time NAME COMMAND...          runs the command, prints the same line; the checksum is of its output

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <vector>

#include "workload.h"

namespace bench {
namespace {

struct Class {
  const char* name;
  std::span<const Workload> (*workloads)();
};

constexpr Class kClasses[] = {{"integer", integer_workloads},
                              {"floating", floating_workloads},
                              {"memory", memory_workloads},
                              {"os", os_workloads}};

void list() {
  for (const Class& each : kClasses) {
    for (const Workload& workload : each.workloads()) std::printf("%s %s\n", each.name, workload.name);
  }
}

void run(const Workload& workload, double scale) {
  const auto iterations = static_cast<std::uint64_t>(std::max(1.0, std::round(workload.iterations * scale)));
  Stopwatch watch;
  const std::uint64_t sum = workload.run(iterations, watch);
  std::printf("%s %.6f %llu %016llx\n", workload.name, watch.seconds(), static_cast<unsigned long long>(iterations),
              static_cast<unsigned long long>(sum));
}

int run_all(double scale, const std::vector<std::string_view>& wanted) {
  std::vector<std::string_view> unknown = wanted;
  for (const Class& each : kClasses) {
    for (const Workload& workload : each.workloads()) {
      const auto named = [&](std::string_view name) { return name == workload.name || name == each.name; };
      if (wanted.empty() || std::any_of(wanted.begin(), wanted.end(), named)) run(workload, scale);
      std::erase_if(unknown, named);
    }
  }
  for (const auto name : unknown) {
    std::fprintf(stderr, "vireo-bench: no workload or class is called %s; --list names them\n", name.data());
  }
  return unknown.empty() ? 0 : 2;
}

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  double scale = 1;
  std::vector<std::string_view> wanted;
  for (int n = 1; n < argc; ++n) {
    const std::string_view word = argv[n];
    if (word == "--list") return list(), 0;
    if (word == "--exec") return exec_link(argc, argv);
    if (word == "--time") return time_command(argc, argv);
    if (word == "--scale" && n + 1 < argc) {
      char* end = nullptr;
      scale = std::strtod(argv[++n], &end);
      require(*end == '\0' && scale > 0, "--scale takes a number above zero");
    } else {
      wanted.push_back(word);
    }
  }
  return run_all(scale, wanted);
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::main(argc, argv); }
