// Integer workloads: what compilers, interpreters and libraries spend their time with.

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "workload.h"

namespace bench {
namespace {

using u8 = std::uint8_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

[[gnu::noinline, gnu::noipa]] u64 fib(u64 n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

u64 run_fib(u64 iterations, Stopwatch& watch) {
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) sum += fib(22);
  watch.stop();
  require(sum == iterations * 17711, "fib(22)");
  return sum;
}

u64 run_sort(u64 iterations, Stopwatch& watch) {
  Random random(1);
  std::vector<u32> unsorted(20000), values;
  for (auto& value : unsorted) value = static_cast<u32>(random.next());
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    values = unsorted;
    values[i % values.size()] = static_cast<u32>(i);
    std::sort(values.begin(), values.end());
    sum = mix(sum, values[values.size() / 2]);
  }
  watch.stop();
  require(std::is_sorted(values.begin(), values.end()), "sorted numbers are in order");
  return sum;
}

/// Open addressing: insertions, hits and misses in a table of 1 MiB.
u64 run_hash(u64 iterations, Stopwatch& watch) {
  constexpr std::size_t kSlots = 1 << 16;
  struct Slot {
    u64 key, value;
  };
  std::vector<Slot> table(kSlots);
  const auto find = [&](u64 key) -> Slot& {
    std::size_t at = (key * 0x9e3779b97f4a7c15) >> 48;
    while (table[at].key != 0 && table[at].key != key) at = (at + 1) % kSlots;
    return table[at];
  };
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    std::fill(table.begin(), table.end(), Slot{});
    Random keys(i);
    for (u64 n = 0; n < 40000; ++n) {
      const u64 key = keys.next() % 30000 + 1;
      Slot& slot = find(key);
      slot.key = key;
      slot.value += n;
    }
    for (u64 key = 1; key < 40000; key += 3) sum = mix(sum, find(key).value);
  }
  watch.stop();
  return sum;
}

enum class Op : u8 { Add, Multiply, ShiftXor, AddConstant, JumpIfOdd, Decrement, JumpIfNotZero, Halt };

struct Instruction {
  Op op;
  u8 to, from;
  u8 target;
};

[[gnu::noinline]] u64 interpret(const Instruction* program, std::array<u64, 8> registers) {
  for (const Instruction* at = program;; ++at) {
    u64& to = registers[at->to];
    const u64 from = registers[at->from];
    switch (at->op) {
      case Op::Add:
        to += from;
        break;
      case Op::Multiply:
        to *= from;
        break;
      case Op::ShiftXor:
        to ^= from >> 7;
        break;
      case Op::AddConstant:
        to += at->target;
        break;
      case Op::JumpIfOdd:
        if (from & 1) at = program + at->target - 1;
        break;
      case Op::Decrement:
        --to;
        break;
      case Op::JumpIfNotZero:
        if (to != 0) at = program + at->target - 1;
        break;
      case Op::Halt:
        return to;
    }
  }
}

u64 run_interpreter(u64 iterations, Stopwatch& watch) {
  static constexpr Instruction kProgram[] = {
      {Op::Multiply, 0, 2, 0},  {Op::AddConstant, 0, 0, 57},  {Op::ShiftXor, 1, 0, 0},
      {Op::JumpIfOdd, 0, 1, 5}, {Op::Add, 1, 0, 0},           {Op::Add, 4, 1, 0},
      {Op::Decrement, 3, 0, 0}, {Op::JumpIfNotZero, 3, 0, 0}, {Op::Halt, 4, 0, 0},
  };
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) sum = mix(sum, interpret(kProgram, {i, 1, 6364136223846793005, 20000}));
  watch.stop();
  return sum;
}

/// Numbers to text, concatenation, search, many small allocations.
u64 run_strings(u64 iterations, Stopwatch& watch) {
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    std::string text;
    std::vector<std::string> words;
    for (u64 n = 0; n < 500; ++n) {
      std::string word = "item-" + std::to_string(n * 7919 + i) + ';';
      text += word;
      words.push_back(std::move(word));
    }
    for (std::size_t n = 0; n < words.size(); n += 50) sum = mix(sum, text.find(words[n]));
    std::string joined;
    for (const auto& word : words) joined.append(word.substr(5)).push_back(' ');
    sum = mix(sum, joined.size());
  }
  watch.stop();
  return sum;
}

u64 run_sieve(u64 iterations, Stopwatch& watch) {
  constexpr std::size_t kLimit = 200000;
  std::vector<u8> composite(kLimit);
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    std::fill(composite.begin(), composite.end(), u8{0});
    for (std::size_t n = 2; n < kLimit; ++n) {
      if (composite[n]) continue;
      ++sum;
      for (std::size_t multiple = n * n; multiple < kLimit; multiple += n) composite[multiple] = 1;
    }
  }
  watch.stop();
  require(sum == iterations * 17984, "there are 17984 primes below 200000");
  return sum;
}

u64 run_crc(u64 iterations, Stopwatch& watch) {
  std::array<u32, 256> table;
  for (u32 n = 0; n < 256; ++n) {
    u32 value = n;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ (value & 1 ? 0xedb88320 : 0);
    table[n] = value;
  }
  const auto crc32 = [&](const u8* data, std::size_t size) {
    u32 crc = ~0u;
    for (std::size_t n = 0; n < size; ++n) crc = (crc >> 8) ^ table[(crc ^ data[n]) & 0xff];
    return ~crc;
  };
  require(crc32(reinterpret_cast<const u8*>("123456789"), 9) == 0xcbf43926, "the CRC of 123456789");
  std::vector<u8> data(1 << 16);
  Random random(3);
  for (auto& byte : data) byte = static_cast<u8>(random.next() >> 32);
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    data[i % data.size()] ^= static_cast<u8>(i);
    sum = mix(sum, crc32(data.data(), data.size()));
  }
  watch.stop();
  return sum;
}

/// A small LZ77: greedy matches through a hash of four bytes. A token is 0xff, length, distance; a literal stands for
/// itself.
class Lz {
 public:
  std::vector<u8> pack(const std::vector<u8>& input) {
    std::vector<u8> output;
    output.reserve(input.size());
    heads_.fill(0);
    std::size_t at = 0;
    while (at + 4 < input.size()) {
      u32 word;
      std::memcpy(&word, &input[at], 4);
      u32& head = heads_[(word * 2654435761u) >> 20];
      const std::size_t candidate = head;
      head = static_cast<u32>(at);
      std::size_t length = 0;
      if (candidate < at && at - candidate < 65536) {
        while (length < 255 && at + length < input.size() && input[candidate + length] == input[at + length]) ++length;
      }
      if (length < 5) {
        output.push_back(input[at++]);
        continue;
      }
      const std::size_t distance = at - candidate;
      output.insert(output.end(),
                    {0xff, static_cast<u8>(length), static_cast<u8>(distance), static_cast<u8>(distance >> 8)});
      at += length;
    }
    output.insert(output.end(), input.begin() + static_cast<std::ptrdiff_t>(at), input.end());
    return output;
  }

  static std::vector<u8> unpack(const std::vector<u8>& input) {
    std::vector<u8> output;
    for (std::size_t at = 0; at < input.size();) {
      if (input[at] != 0xff) {
        output.push_back(input[at++]);
        continue;
      }
      const std::size_t distance = input[at + 2] + 256u * input[at + 3];
      for (int n = 0; n < input[at + 1]; ++n) output.push_back(output[output.size() - distance]);
      at += 4;
    }
    return output;
  }

 private:
  std::array<u32, 4096> heads_;
};

u64 run_compress(u64 iterations, Stopwatch& watch) {
  static constexpr const char* kWords[] = {"the ", "machine ", "guest ", "of ",   "memory ",
                                           "page", "s ",       "and ",   "runs, "};
  std::vector<u8> text;
  Random random(4);
  while (text.size() < 60000) {
    const char* word = kWords[random.next() % std::size(kWords)];
    text.insert(text.end(), word, word + std::strlen(word));
    if (random.next() % 4 == 0) text.push_back(static_cast<u8>('0' + random.next() % 64));
  }
  Lz lz;
  u64 sum = 0;
  watch.start();
  for (u64 i = 0; i < iterations; ++i) {
    text[i % text.size()] = 'x';
    const auto packed = lz.pack(text);
    require(Lz::unpack(packed) == text, "unpacked data is what was packed");
    sum = mix(sum, packed.size());
  }
  watch.stop();
  return sum;
}

constexpr Workload kWorkloads[] = {
    {"fib", 6000, run_fib},         {"sort", 400, run_sort},
    {"hash", 700, run_hash},        {"interpreter", 1000, run_interpreter},
    {"strings", 8000, run_strings}, {"sieve", 600, run_sieve},
    {"crc", 1800, run_crc},         {"compress", 900, run_compress},
};

}  // namespace

std::span<const Workload> integer_workloads() { return kWorkloads; }

}  // namespace bench
