mod names;
mod sources;
