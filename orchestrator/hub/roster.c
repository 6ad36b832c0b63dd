#include "orchestrator/hub/roster.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 256

struct node {
	struct roster_entry entry;
	int64_t spent; /* ms: when all that was spent will have come back */
	struct node *next;
};

struct roster {
	struct node **buckets;
	size_t bucket_count; /* a power of two */
	size_t count;
};

int roster_new(struct roster **ret_roster, struct error *error)
{
	struct roster *roster = calloc(1, sizeof *roster);

	if (roster)
		roster->buckets = calloc(FIRST_BUCKETS, sizeof(struct node *));
	if (!roster || !roster->buckets) {
		free(roster);
		return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for the table of keys");
	}
	roster->bucket_count = FIRST_BUCKETS;
	*ret_roster = roster;
	return 0;
}

void roster_free(struct roster **roster)
{
	if (!*roster)
		return;
	roster_clear(*roster);
	free((*roster)->buckets);
	free(*roster);
	*roster = NULL;
}

/* Public keys are as good as random, and only the engine adds them: their first bytes are the hash. */
static struct node **find(struct node **buckets, size_t bucket_count, const uint8_t *key)
{
	uint64_t hash;

	memcpy(&hash, key, sizeof hash);
	struct node **at = &buckets[hash & (bucket_count - 1)];
	while (*at && memcmp((*at)->entry.key, key, ROSTER_KEY_SIZE) != 0)
		at = &(*at)->next;
	return at;
}

static void grow(struct roster *roster)
{
	size_t bucket_count = 2 * roster->bucket_count;
	struct node **buckets = calloc(bucket_count, sizeof(struct node *));

	if (!buckets)
		return; /* longer chains, nothing worse */
	for (size_t i = 0; i < roster->bucket_count; i++)
		while (roster->buckets[i]) {
			struct node *node = roster->buckets[i];
			roster->buckets[i] = node->next;
			node->next = NULL;
			*find(buckets, bucket_count, node->entry.key) = node;
		}
	free(roster->buckets);
	roster->buckets = buckets;
	roster->bucket_count = bucket_count;
}

int roster_admit(struct roster *roster, const struct roster_entry *entry, struct error *error)
{
	struct node **at = find(roster->buckets, roster->bucket_count, entry->key);

	if (!*at) {
		if (roster->count >= ROSTER_MOST)
			return error_set(error, ERROR_DATA, "length", "more than %d keys are admitted", ROSTER_MOST);
		*at = calloc(1, sizeof(struct node));
		if (!*at)
			return error_set(error, ERROR_CANNOT_CREATE, "memory", "no memory for another key");
		roster->count++;
	}
	(*at)->entry = *entry;
	if (roster->count > roster->bucket_count)
		grow(roster);
	return 0;
}

void roster_dismiss(struct roster *roster, const uint8_t key[static ROSTER_KEY_SIZE])
{
	struct node **at = find(roster->buckets, roster->bucket_count, key);
	struct node *node = *at;

	if (!node)
		return;
	*at = node->next;
	free(node);
	roster->count--;
}

void roster_clear(struct roster *roster)
{
	for (size_t i = 0; i < roster->bucket_count; i++)
		while (roster->buckets[i]) {
			struct node *node = roster->buckets[i];
			roster->buckets[i] = node->next;
			free(node);
		}
	roster->count = 0;
}

const struct roster_entry *roster_find(const struct roster *roster, const uint8_t key[static ROSTER_KEY_SIZE],
				       int64_t now)
{
	const struct node *node = *find(roster->buckets, roster->bucket_count, key);

	return node && (!node->entry.expires || now < node->entry.expires) ? &node->entry : NULL;
}

bool roster_spend(struct roster *roster, const uint8_t key[static ROSTER_KEY_SIZE], int64_t now_ms)
{
	const int64_t cost = 1000 / ROSTER_STREAMS_A_SECOND;
	struct node *node = *find(roster->buckets, roster->bucket_count, key);

	if (!node)
		return false;
	int64_t spent = (node->spent > now_ms ? node->spent : now_ms) + cost;
	if (spent > now_ms + ROSTER_STREAMS_AT_ONCE * cost)
		return false;
	node->spent = spent;
	return true;
}
