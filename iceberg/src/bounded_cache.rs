//! A map that is bounded by the weight of its values.

use std::collections::HashMap;
use std::hash::Hash;

/// A bounded map that forgets the half used longest ago when it is full.
pub struct BoundedCache<K, V> {
    entries: HashMap<K, Entry<V>>,
    capacity: usize,
    weight: usize,
    clock: u64,
}

struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> BoundedCache<K, V> {
    /// An empty map that holds values of `capacity` in weight.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
            weight: 0,
            clock: 0,
        }
    }

    /// The value of `key`, which is used hereby.
    pub fn get<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    /// Adds or replaces the value of `key`.
    pub fn put(&mut self, key: K, value: V, weight: usize) {
        self.clock += 1;
        let used = self.clock;
        self.weight += weight;
        if let Some(old) = self.entries.insert(
            key,
            Entry {
                value,
                weight,
                used,
            },
        ) {
            self.weight -= old.weight;
        }
        if self.weight > self.capacity {
            self.shrink();
        }
    }

    /// Takes the value of `key` out.
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let entry = self.entries.remove(key)?;
        self.weight -= entry.weight;
        Some(entry.value)
    }

    fn shrink(&mut self) {
        let mut by_use: Vec<(u64, K)> = self
            .entries
            .iter()
            .map(|(key, entry)| (entry.used, key.clone()))
            .collect();
        by_use.sort_unstable_by_key(|&(used, _)| used);
        for (_, key) in by_use {
            if self.weight <= self.capacity / 2 || self.entries.len() == 1 {
                break;
            }
            if let Some(entry) = self.entries.remove(&key) {
                self.weight -= entry.weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BoundedCache;

    #[test]
    fn a_full_cache_keeps_what_was_used_last() {
        let mut cache = BoundedCache::new(4);
        for key in 0..4 {
            cache.put(key, key, 1);
        }
        assert_eq!(cache.get(&0), Some(0));
        cache.put(4, 4, 1);
        assert_eq!(cache.get(&0), Some(0));
        assert_eq!(cache.get(&4), Some(4));
        assert_eq!(cache.get(&1), None);
        assert_eq!(cache.weight, 2);
    }

    #[test]
    fn replacing_a_value_replaces_its_weight() {
        let mut cache = BoundedCache::new(4);
        cache.put("a", 1, 3);
        cache.put("a", 2, 1);
        assert_eq!(cache.weight, 1);
        assert_eq!(cache.get("a"), Some(2));
        assert_eq!(cache.remove("a"), Some(2));
        assert_eq!((cache.weight, cache.remove("a")), (0, None));
    }
}
