"""What python3 runs: objects, dictionaries, text, sorting, JSON, regular expressions, generators."""
import collections
import json
import re
import zlib


class Account:
    def __init__(self, name):
        self.name, self.balance, self.history = name, 0, []

    def book(self, amount):
        self.balance += amount
        self.history.append(amount)


def numbers(seed, count):
    for _ in range(count):
        seed = (seed * 1103515245 + 12345) % 2**31
        yield seed >> 8


accounts = {f"account-{n}": Account(f"account-{n}") for n in range(500)}
for value in numbers(1, 360000):
    accounts[f"account-{value % 500}"].book(value % 1000 - 400)
ranked = sorted(accounts.values(), key=lambda account: (-account.balance, account.name))
text = json.dumps([{"name": a.name, "balance": a.balance, "history": a.history[:50]} for a in ranked], indent=1)
again = json.loads(text)
words = collections.Counter(re.findall(r"[a-z]+|\d{3}", text))
primes = [n for n in range(2, 20000) if all(n % d for d in range(2, int(n**0.5) + 1))]
board = [[(x * y + x) % 7 for x in range(120)] for y in range(120)]
for _ in range(16):
    board = [[(board[y - 1][x] + board[y][x - 1] + board[y][(x + 1) % 120]) % 7 for x in range(120)] for y in range(120)]
print(again[0]["name"], words.most_common(3), len(primes), sum(map(sum, board)), zlib.crc32(text.encode()))
