/* The same questions to other implementations: Python's zoneinfo for every installed zone, its calendar for rules, and
 * systemd for weekly starts. Each part is skipped where its program is not there. */
#include "helper.h"

#include <unistd.h>

#define PYTHON  "/usr/bin/python3"
#define SYSTEMD "/usr/bin/systemd-analyze"

static void skip_without(const char *program)
{
	if (access(program, X_OK) == 0)
		return;
	print_message("skipped: oracle (%s is missing)\n", program);
	skip();
}

/* `script` holds no single quote. */
static FILE *ask_python(const char *script)
{
	char command[4000];
	int size = snprintf(command, sizeof command, "PYTHONTZPATH=/usr/share/zoneinfo " PYTHON " -c '%s'", script);

	assert_true(size > 0 && (size_t)size < sizeof command);
	FILE *answer = popen(command, "r");
	assert_non_null(answer);
	return answer;
}

/* Random civil times and instants, and those around each change of the offset. Python's fold 0 and 1 are before and
 * after. Lines: "Z name", "C y m d h m s before after", "T instant y m d h m s offset". */
static const char zones_script[] =
	"import random, zoneinfo\n"
	"from datetime import datetime as D, timedelta, timezone\n"
	"U = timezone.utc; E = D(1970, 1, 1, tzinfo=U); R = random.Random(20270103)\n"
	"def secs(d): return int((d.astimezone(U) - E).total_seconds())\n"
	"def civil(z, d):\n"
	"  print(\"C\", d.year, d.month, d.day, d.hour, d.minute, d.second,\n"
	"    secs(d.replace(tzinfo=z, fold=0)), secs(d.replace(tzinfo=z, fold=1)))\n"
	"def instant(z, t):\n"
	"  d = (E + timedelta(seconds=t)).astimezone(z)\n"
	"  print(\"T\", t, d.year, d.month, d.day, d.hour, d.minute, d.second, int(d.utcoffset().total_seconds()))\n"
	"for n in sorted(zoneinfo.available_timezones()):\n"
	"  if n == \"localtime\" or n == \"Factory\": continue\n"
	"  z = zoneinfo.ZoneInfo(n); print(\"Z\", n)\n"
	"  for i in range(8):\n"
	"    civil(z, D(1970, 1, 2) + timedelta(seconds=R.randrange(0, 3600 * 24 * 365 * 130)))\n"
	"    instant(z, R.randrange(0, 86400 * 365 * 130))\n"
	"  for y in (R.randrange(1950, 2026), R.randrange(2026, 2037), R.randrange(2037, 2120)):\n"
	"    a = int((D(y, 1, 1, tzinfo=U) - E).total_seconds()); o = None\n"
	"    for t in range(a, a + 366 * 86400, 12 * 86400):\n"
	"      p = o; o = (E + timedelta(seconds=t)).astimezone(z).utcoffset()\n"
	"      if p is None or p == o: continue\n"
	"      lo, hi = t - 12 * 86400, t\n"
	"      while hi - lo > 1:\n"
	"        m = (lo + hi) // 2\n"
	"        if (E + timedelta(seconds=m)).astimezone(z).utcoffset() == p: lo = m\n"
	"        else: hi = m\n"
	"      instant(z, lo); instant(z, hi)\n"
	"      w = D(1970, 1, 1) + timedelta(seconds=hi) + p\n"
	"      for s in (-7200, -3600, -1800, -1, 0, 1, 1800, 3599, 3600, 7200): civil(z, w + timedelta(seconds=s))\n";

static void check_civil(const struct zone *zone, const char *line)
{
	struct civil c;
	long long before, after;

	assert_int_equal(sscanf(line, "C %d %d %d %d %d %d %lld %lld", &c.year, &c.month, &c.day, &c.hour, &c.minute,
				&c.second, &before, &after),
			 8);
	struct zone_resolution resolution = zone_resolve(zone, c);
	enum zone_kind kind = before == after ? ZONE_UNIQUE : before < after ? ZONE_REPEATED : ZONE_SKIPPED;
	if (resolution.before != before || resolution.after != after || resolution.kind != kind)
		fail_msg("%s: %s, but kind %d, %lld, %lld", zone_name(zone), line, resolution.kind,
			 (long long)resolution.before, (long long)resolution.after);
}

static void check_instant(const struct zone *zone, const char *line)
{
	struct civil c, local;
	long long time;
	int offset, own;

	assert_int_equal(sscanf(line, "T %lld %d %d %d %d %d %d %d", &time, &c.year, &c.month, &c.day, &c.hour,
				&c.minute, &c.second, &offset),
			 8);
	local = zone_local(zone, time, &own, NULL);
	if (own != offset || civil_to_seconds(local) != civil_to_seconds(c))
		fail_msg("%s: %s, but offset %d", zone_name(zone), line, own);
}

static void zoneinfo_agrees(void **state)
{
	char line[200], name[100];
	struct zone *zone = NULL;
	size_t zones = 0, checks = 0;

	(void)state;
	skip_without(PYTHON);
	FILE *answer = ask_python(zones_script);
	while (fgets(line, sizeof line, answer)) {
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "Z %99s", name) == 1) {
			zone_free(&zone);
			zone = zone_of(name);
			zones++;
			continue;
		}
		checks++;
		if (line[0] == 'C')
			check_civil(zone, line);
		else
			check_instant(zone, line);
	}
	zone_free(&zone);
	assert_int_equal(pclose(answer), 0);
	print_message("%zu checks in %zu zones\n", checks, zones);
	assert_true(zones > 300 && checks > 10000);
}

/* Rules against a search through every date. Lines: "R interval anchor-or-- offset_days rule", then "D date" for 2027
 * to 2030 in order. */
static const char rules_script[] =
	"import random, calendar\n"
	"from datetime import date, timedelta as d\n"
	"R = random.Random(20270104); N = [\"MO\", \"TU\", \"WE\", \"TH\", \"FR\", \"SA\", \"SU\"]\n"
	"first = date(2027, 1, 1); span = [first + d(i) for i in range(1461)]\n"
	"for i in range(300):\n"
	"  off = 0; gap = R.choice([1, 1, 2, 3, 5]); k = R.randrange(3)\n"
	"  if k == 0:\n"
	"    days = R.sample(range(7), R.randrange(1, 4)); text = \"weekly \" + \",\".join(N[x] for x in days)\n"
	"    hit = lambda x: x.weekday() in days\n"
	"    phase = lambda x: (x - d(x.weekday())).toordinal() // 7\n"
	"  else:\n"
	"    off = R.randrange(-30, 31); n = R.choice([1, 2, 3, 4, 5, -1, -2, -3, -4, -5]); w = R.randrange(7)\n"
	"    m = R.choice([1, 13, 28, 29, 30, 31, -1, -2, -29, -30, -31])\n"
	"    text = \"monthly %d%s\" % (n, N[w]) if k == 1 else \"monthly %d\" % m\n"
	"    def base(x):\n"
	"      last = calendar.monthrange(x.year, x.month)[1]\n"
	"      if k == 2: return x.day == (m if m > 0 else last + 1 + m)\n"
	"      return x.weekday() == w and (x.day - 1) // 7 + 1 == n if n > 0 else x.weekday() == w and (last - x.day) "
	"// 7 + 1 == -n\n"
	"    hit = lambda x: base(x - d(off))\n"
	"    phase = lambda x: (x - d(off)).year * 12 + (x - d(off)).month\n"
	"  all = [x for x in span if hit(x)]\n"
	"  if not all: continue\n"
	"  a = R.choice(all[:20]) if gap > 1 else None\n"
	"  print(\"R\", gap, a or \"-\", off, text, \"00:00\")\n"
	"  for x in all:\n"
	"    if a is None or (x >= a and (phase(x) - phase(a)) % gap == 0): print(\"D\", x)\n";

static void calendar_agrees(void **state)
{
	int64_t first = civil_to_days(2027, 1, 1), until = first + 1460, day = 0, at = 0;
	char line[200], anchor[20], text[100] = "";
	size_t rules = 0, dates = 0;
	struct rule rule = {0};
	struct error error;
	int interval, offset_days;

	(void)state;
	skip_without(PYTHON);
	FILE *answer = ask_python(rules_script);
	while (fgets(line, sizeof line, answer)) {
		struct civil civil;
		line[strcspn(line, "\n")] = 0;
		if (sscanf(line, "R %d %19s %d %99[^\n]", &interval, anchor, &offset_days, text) == 4) {
			if (rules && rule_next(&rule, at, until, &day))
				fail_msg("a date too many before: %s", line);
			assert_ok(rule_parse(text, &rule, &error), &error);
			assert_ok(rule_repeat(&rule, interval, anchor[0] == '-' ? "" : anchor, offset_days, &error),
				  &error);
			at = first;
			rules++;
			continue;
		}
		assert_true(line[0] == 'D' && civil_parse_date(line + 2, &civil));
		int64_t expected = civil_to_days(civil.year, civil.month, civil.day);
		if (!rule_next(&rule, at, until, &day) || day != expected)
			fail_msg("%s, interval %d, anchor %s, offset_days %d: %s is not next but day %lld", text,
				 interval, anchor, offset_days, line, (long long)day);
		at = day + 1;
		dates++;
	}
	assert_int_equal(pclose(answer), 0);
	print_message("%zu dates of %zu rules\n", dates, rules);
	assert_true(rules > 200 && dates > 5000);
}

/* systemd leaves out what falls into a gap and takes the first pass of an overlap: as our gap = skip. */
static void systemd_agrees(void **state)
{
	static const struct {
		const char *zone, *weekday, *own, *time;
	} rows[] = {
		{"Europe/London", "Sun", "SU", "01:30"},       {"America/New_York", "Sun", "SU", "02:30"},
		{"Australia/Lord_Howe", "Sun", "SU", "02:15"}, {"America/Santiago", "Sun", "SU", "00:00"},
		{"Asia/Kolkata", "Wed", "WE", "02:00"},        {"Europe/Dublin", "Sun", "SU", "01:30"},
		{"America/Havana", "Sun", "SU", "00:30"},      {"Pacific/Auckland", "Sun", "SU", "02:45"},
	};
	size_t checks = 0;

	(void)state;
	skip_without(SYSTEMD);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char command[300], line[300], rule[40], date[20], time[20];
		snprintf(rule, sizeof rule, "weekly %s %s", rows[i].own, rows[i].time);
		struct window_set set = window_of(rows[i].zone, rule, "1h", "0", "gap = skip\n");
		struct window_query query = {0};
		int64_t from = utc("2027-01-01T00:00");
		snprintf(command, sizeof command,
			 "LC_ALL=C TZ=UTC " SYSTEMD " calendar --base-time='2027-01-01 00:00:00 UTC' --iterations=60 "
			 "'%s *-*-* %s:00 %s' 2>/dev/null",
			 rows[i].weekday, rows[i].time, rows[i].zone);
		FILE *answer = popen(command, "r");
		assert_non_null(answer);
		while (fgets(line, sizeof line, answer)) {
			/* "Next elapse: Sun 2027-01-03 01:30:00 UTC", "Iteration #2: …" */
			const char *colon = strchr(line, ':');
			char text[45];
			if ((!strstr(line, "Next elapse") && !strstr(line, "Iter")) ||
			    sscanf(colon + 1, " %*s %19s %19s UTC", date, time) != 2)
				continue;
			snprintf(text, sizeof text, "%sT%s", date, time);
			struct occurrence occurrence;
			struct error error;
			size_t count = 0;
			assert_ok(window_set_next(&set, &query, from, 1, &occurrence, &count, &error), &error);
			assert_int_equal(count, 1);
			if (occurrence.start != utc(text))
				fail_msg("%s %s: systemd says %s", rows[i].zone, rule, text);
			from = occurrence.end;
			checks++;
		}
		pclose(answer);
		window_set_free(&set);
	}
	print_message("%zu starts\n", checks);
	if (checks == 0) {
		print_message("skipped: oracle (systemd-analyze calendar without --base-time)\n");
		skip();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(zoneinfo_agrees),
		cmocka_unit_test(calendar_agrees),
		cmocka_unit_test(systemd_agrees),
	};

	unsetenv("TZDIR"); /* both sides read the installed zone data */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
