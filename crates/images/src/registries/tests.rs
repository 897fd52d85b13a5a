mod files;
mod lookups;
mod mistakes;
