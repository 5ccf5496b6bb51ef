// diff_host: random and generated unprivileged instructions, on the host CPU and on a software engine, compared in
// everything a program can see: registers, flags, x87 and vector state, memory, and the exception with its address and
// error code.
//
//   diff_host [--engine NAME] [--seed N] [--first I] [--count N] [--class X] [--longest N] [--show]
//   [--keep-going N]
//
// Snippet I of seed N is always the same. A mismatch prints how to run it alone.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <string>

#include "compare.h"
#include "generate.h"
#include "guest.h"
#include "native.h"
#include "open_flags.h"

namespace vireo::diff {
namespace {

constexpr std::string_view kEngines[] = {"interpret", "translate", "translate-fallback", "translate-pages"};

struct Options {
  u64 seed = 1, first = 0, count = 100'000;
  EngineKind engine = EngineKind::Interpret;
  std::optional<Class> only;
  unsigned longest = 6;
  unsigned keep_going = 20;  ///< mismatches printed before it gives up
  bool show = false;
};

std::optional<Options> parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--show") {
      options.show = true;
      continue;
    }
    if (i + 1 == argc) return {};
    const std::string text = argv[++i];
    if (name == "--class") {
      for (unsigned c = 0; c < static_cast<unsigned>(Class::kCount); ++c) {
        if (name_of(static_cast<Class>(c)) == text) options.only = static_cast<Class>(c);
      }
      if (!options.only) return {};
      continue;
    }
    if (name == "--engine") {
      bool found = false;
      for (unsigned e = 0; e < std::size(kEngines); ++e) {
        if (kEngines[e] != text) continue;
        options.engine = static_cast<EngineKind>(e);
        found = true;
      }
      if (!found) return {};
      continue;
    }
    char* end = nullptr;
    const u64 value = std::strtoull(text.c_str(), &end, 0);
    if (*end != 0 || text.empty()) return {};
    if (name == "--seed") {
      options.seed = value;
    } else if (name == "--first") {
      options.first = value;
    } else if (name == "--count") {
      options.count = value;
    } else if (name == "--longest") {
      options.longest = static_cast<unsigned>(std::max<u64>(value, 1));
    } else if (name == "--keep-going") {
      options.keep_going = static_cast<unsigned>(value);
    } else {
      return {};
    }
  }
  return options;
}

/// A snippet that does not come back: a hang names itself.
volatile u64 running_index;
void on_alarm(int) {
  char text[64];
  const int size =
      std::snprintf(text, sizeof(text), "snippet %llu hangs\n", static_cast<unsigned long long>(running_index));
  (void)!write(2, text, static_cast<std::size_t>(size));
  _exit(3);
}

int run(const Options& options) {
  Native native;
  const bool translate = options.engine != EngineKind::Interpret;
  Guest guest(options.engine);
  Generator generator(guest_cpuid());
  Data data;
  Random filler(options.seed);
  fill_data(filler, data);
  struct sigaction action = {};
  action.sa_handler = on_alarm;
  action.sa_flags = SA_ONSTACK;  // a snippet's stack is no stack
  sigaction(SIGALRM, &action, nullptr);
  sigset_t alarms;
  sigemptyset(&alarms);
  sigaddset(&alarms, SIGALRM);
  sigprocmask(SIG_UNBLOCK, &alarms, nullptr);

  u64 mismatches = 0, open = 0;
  u64 vectors[33] = {};
  const auto start = std::chrono::steady_clock::now();
  for (u64 i = options.first; i < options.first + options.count; ++i) {
    if (i % 1024 == 0 || i == options.first) alarm(20);
    running_index = i;
    Random random(options.seed * 0x9E3779B97F4A7C15 + i * 0xD1B54A32D192ED03);
    // The translator has 64-bit code only; everything else it leaves to the interpreter.
    Snippet snippet = generator.make(random, options.only, options.longest, translate);
    if (translate) {
      const auto flags = open_flags(snippet);
      if (!flags) {
        ++open;
        continue;
      }
      snippet.any_flags |= *flags;
      snippet.any_flags_on_fault = snippet.late_canonical_check = true;
    }
    Data patched = data;
    for (const auto& patch : snippet.patches) {
      for (u64 k = 0; k < patch.bytes.size() && patch.offset + k < patched.size(); ++k) {
        patched[patch.offset + k] = patch.bytes[k];
      }
    }
    if (options.show) fmt::print("snippet {}:\n{}", i, describe(snippet));
    std::memcpy(native.data(), patched.data(), patched.size());
    std::memcpy(guest.data(), patched.data(), patched.size());
    const Outcome expected = native.run(snippet);
    const Outcome got = guest.run(snippet);
    ++vectors[std::min<unsigned>(expected.vector, 32)];
    const std::string differences = compare(snippet, expected, got, native.data(), guest.data());
    if (differences.empty()) continue;
    ++mismatches;
    fmt::print("MISMATCH diff_host{} --seed {} --first {} --count 1 --longest {}{}\n{}{}\n",
               translate ? fmt::format(" --engine {}", kEngines[static_cast<u8>(options.engine)]) : "", options.seed, i,
               options.longest, options.only ? fmt::format(" --class {}", name_of(*options.only)) : "",
               describe(snippet), differences);
    if (mismatches >= options.keep_going) break;
  }
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  fmt::print("seed {}: {} snippets of {} + {} + {} forms, {} mismatches, {:.0f} snippets/s; ended by", options.seed,
             options.count, generator.forms(Mode::Bits64).count(), generator.forms(Mode::Bits32).count(),
             generator.forms(Mode::Bits16).count(), mismatches, static_cast<double>(options.count) / elapsed.count());
  for (unsigned i = 0; i < 33; ++i) {
    if (vectors[i] != 0) fmt::print(" #{}: {}", i, vectors[i]);
  }
  if (open != 0) fmt::print("; {} left out, which read undefined flags", open);
  fmt::print("\n");
  return mismatches == 0 ? 0 : 1;
}

}  // namespace
}  // namespace vireo::diff

int main(int argc, char** argv) {
  const auto options = vireo::diff::parse(argc, argv);
  if (!options) {
    fmt::print(stderr,
               "usage: diff_host [--engine NAME] [--seed N] [--first I] [--count N] [--class X] "
               "[--longest N] [--keep-going N] [--show]\n");
    return 2;
  }
  return vireo::diff::run(*options);
}
